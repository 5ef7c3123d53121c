"""The `peephole` command line."""
