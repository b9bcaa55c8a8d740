"""Sections about groups and clusters of vectors."""
