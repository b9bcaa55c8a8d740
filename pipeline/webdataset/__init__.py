"""Tars of samples as trainers read them: what goes into one, in which order, and its bytes."""
