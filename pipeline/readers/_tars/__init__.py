"""Tars of samples: what is in one, by headers, and the samples that its members make."""
