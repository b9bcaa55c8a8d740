"""Measures of whole groups: rows of a group are brought together over all parts, and what is found goes back."""
