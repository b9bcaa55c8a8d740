"""One file per pool format."""
