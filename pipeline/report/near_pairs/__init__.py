"""All near pairs of a run, as files."""
