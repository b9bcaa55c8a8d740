"""Options of the command line, and commands that are long: what `pipeline.cli` puts together."""
