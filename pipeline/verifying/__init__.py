"""What `nearfar verify` does: bytes hashed again, units done again, decisions made again by plain code."""
