"""How many directions the pool, its splits and random samples of their sizes use: sums over parts, then spectra."""
