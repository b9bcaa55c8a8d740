"""Measures of a sample among all of the pool, which no part can say alone."""
