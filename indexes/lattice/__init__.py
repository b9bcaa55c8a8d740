"""Rows rounded to whole numbers: how far they are apart there says how far they can be apart."""
