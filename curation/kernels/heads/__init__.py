"""A linear head over vectors, and what held-out answers prove of it."""
