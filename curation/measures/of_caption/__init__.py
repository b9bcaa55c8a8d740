"""Measures of what the words of a caption are."""
