"""Layers that do what a model's own do with less work, where a processor multiplies in bfloat16."""
