"""From the rules of a split to its files."""
