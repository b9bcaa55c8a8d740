"""Files of sets that lie on a store: their names are on this machine, their bytes when they are needed."""
