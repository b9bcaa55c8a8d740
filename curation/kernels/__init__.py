"""Pure functions on arrays: the arithmetic of measures, without files, plans or SQL."""
