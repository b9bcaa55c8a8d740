"""Rules that decide by classes, concepts or entries: any column, single or list, that says what a sample is of."""
