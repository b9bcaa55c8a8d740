"""Vectors in, neighbours out. This package knows nothing of pools, files or captions."""
