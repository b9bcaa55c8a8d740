"""What a command says at its end: for people in lines, for programs as the last object of `--json`."""
