"""Good networks: select them, widen them."""
