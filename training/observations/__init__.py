"""Tables of measured networks: read, check, split, report."""
