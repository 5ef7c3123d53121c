"""Data sets, training of networks, and collections of measured networks."""
