"""Rules that decide by the cluster that a sample is in."""
