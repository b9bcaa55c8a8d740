"""Rules that read how near samples of the pool are to one another."""
