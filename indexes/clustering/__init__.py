"""k-means, and which centroids are nearest."""
