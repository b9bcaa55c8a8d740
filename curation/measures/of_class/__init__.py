"""Measures of what a sample is of."""
