"""Atlases: splits as files that a viewer of embeddings opens, made when asked for."""
