"""Text from users' files and paths is printed as it stands."""

from rich.console import Console


def plain_console(*, stderr: bool = False) -> Console:
    """Return a console that reads no markup and no emoji codes: `[b]` in a network's id is no style."""
    return Console(markup=False, emoji=False, stderr=stderr)
