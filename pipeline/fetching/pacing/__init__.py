"""How much is asked for at a time: of a host, of one that asks to wait, and of large files."""
