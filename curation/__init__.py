"""What the numbers mean: rules, measures, thresholds and audit arithmetic. Knows no scheduler and does no I/O."""
