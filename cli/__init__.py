"""The `peephole` command line.

Each module holds commands with their options and help; what a command works with is imported when it runs, so that
`peephole --help` starts at once and works without PyTorch.
"""

import sys


def run() -> None:
    """Run the command line, or say how to install it."""
    try:
        from cli.main import main
    except ModuleNotFoundError as error:
        if error.name not in {"typer", "rich"}:
            raise
        sys.exit("peephole: the command line is not installed: pip install '.[cli]' in the repository")
    main()
