"""Files that are whole or absent, and the formats that nearfar writes: Parquet, vectors, indexes, images."""
