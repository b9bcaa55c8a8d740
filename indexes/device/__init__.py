"""The pass on a torch device: screened maxima, exact products, lists of neighbours."""
