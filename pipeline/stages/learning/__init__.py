"""What measures learn before parts are measured: from a sample of the pool, and from their targets."""
