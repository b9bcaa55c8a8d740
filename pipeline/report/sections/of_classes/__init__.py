"""Sections about the classes that samples are of."""
