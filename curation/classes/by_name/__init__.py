"""Classes by what they are called: by id, name or position, one list for all."""
