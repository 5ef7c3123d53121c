"""Durations as people write them."""

import re

_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0}


def parse_duration(text: str | float) -> float:
    """Return seconds for `45s`, `90m`, `1.5h` or a plain number of seconds.

    Raises:
        ValueError: for anything else.
    """
    if isinstance(text, int | float):
        return float(text)
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smh]?)", text.strip())
    if match is None:
        raise ValueError(f"{text!r} is not a duration; write 45s, 90m or 2h")
    return float(match[1]) * _SECONDS[match[2] or "s"]
