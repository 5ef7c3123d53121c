"""The `peephole` command line.

Each module registers commands with their options and help; what a command works with is imported when it runs, so that
`peephole --help` starts at once and works without PyTorch.
"""
