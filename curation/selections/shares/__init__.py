"""Selections that share one number out among groups."""
