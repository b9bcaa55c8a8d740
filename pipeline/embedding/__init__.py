"""Encoders: their weights, and batches of images through them."""
