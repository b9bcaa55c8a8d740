"""Files that say by a lock that somebody is at work."""
