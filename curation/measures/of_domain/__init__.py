"""Measures of the domain that a sample is of: photograph, drawing, sketch."""
