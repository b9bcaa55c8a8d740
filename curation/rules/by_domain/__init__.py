"""Rules that read which domain a sample is taken as."""
