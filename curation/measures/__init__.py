"""One file per measure: what it needs and which columns it writes."""
