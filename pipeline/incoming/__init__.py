"""What comes from the web before a run: lists of URLs, fetched into pools."""
