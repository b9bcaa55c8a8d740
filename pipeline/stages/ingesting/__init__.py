"""What `ingest` does: cut the list, fetch each piece's images into a tar, count what came of which host."""
