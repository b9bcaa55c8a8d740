"""What goes before a run: lists of URLs, fetched into pools; sets on stores; what is refused before all reading."""
