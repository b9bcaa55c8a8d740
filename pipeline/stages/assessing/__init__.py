"""Measures of further sets, for rules that read them."""
