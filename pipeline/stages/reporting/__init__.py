"""The report and the files that it opens."""
