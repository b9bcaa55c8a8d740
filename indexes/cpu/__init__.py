"""The CPU engine: a fused pass that screens in machine code and decides exactly."""
