"""Encoders: their weights, and batches of images and captions through them."""
