"""The commands and their options, and how they end; `pipeline.cli` is where the program begins."""
