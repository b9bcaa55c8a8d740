"""Units of work, where they run, and what a run says of itself."""
