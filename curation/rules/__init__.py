"""One file per rule: which samples to drop, as SQL over measured columns."""
