"""Rules that decide by captions, or write other ones."""
