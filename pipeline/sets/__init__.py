"""A set of samples: where it lies, its columns, and the identity of each sample."""
