"""Documents that people write: YAML read safely, values given on the command line, mistakes said with their place."""
