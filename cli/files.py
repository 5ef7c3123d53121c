"""Files that commands read: what is wrong with one is said with its name."""

from pathlib import Path


def existing(file: Path) -> Path:
    """Return the path of a file that is to be read.

    Raises:
        ValueError: when there is none, or a folder in its place.
    """
    if file.is_dir():
        raise ValueError(f"{file} is a folder; a file is needed")
    if not file.exists():
        raise ValueError(f"{file} does not exist")
    return file


def described(error: OSError) -> str:
    """Return an operating system's error with its file first, and without its number."""
    if error.filename is None or error.strerror is None:
        return str(error)
    return f"{error.filename}: {error.strerror[0].lower()}{error.strerror[1:]}"
