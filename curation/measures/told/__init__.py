"""Measures that look samples up in files of the user's."""
