"""Finished splits decided again, by plain oracles over rows in memory."""
