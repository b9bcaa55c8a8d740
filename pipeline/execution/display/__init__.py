"""What a run shows while it goes: counts, bars, its log; no credential among them."""
