"""Samples on a plane: which are drawn, who is next to whom, and where each lies."""
