"""Further sets, beside pool and benchmarks: which measures of them a plan's rules read."""
