"""Samples that a user must not have any more, removed from a finished run."""
