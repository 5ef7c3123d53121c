"""What a refresh computed, kept as JSON in the repository: each section with a hash of what it was computed from."""

import json
from pathlib import Path
from typing import Any


class Kept:
    """The sections of one task.

    Args:
        folder: of the files.
        task: whose.
    """

    def __init__(self, folder: Path, task: str) -> None:
        self.path = folder / f"{task}.json"
        self.content: dict[str, Any] = json.loads(self.path.read_text()) if self.path.exists() else {}

    def get(self, section: str) -> Any | None:
        """Return a section; `None` when it was never computed."""
        found = self.content.get(section)
        return None if found is None else found["value"]

    def starting(self, prefix: str) -> dict[str, Any]:
        """Return the sections whose names start so, by the rest of their names."""
        return {name[len(prefix) :]: one["value"] for name, one in self.content.items() if name.startswith(prefix)}

    def fresh(self, section: str, of: str) -> bool:
        """Whether a section was computed from what `of` is a hash of."""
        return section in self.content and self.content[section]["of"] == of[:12]

    def old(self, prefix: str, of: str) -> list[str]:
        """Return the names of sections that were computed from something else."""
        return [name for name in self.content if name.startswith(prefix) and not self.fresh(name, of)]

    def put(self, section: str, of: str, value: Any) -> None:
        """Keep a section at once, so that a refresh that is stopped goes on where it was."""
        self.content[section] = {"of": of[:12], "value": value}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        sections = (
            f"{json.dumps(name, ensure_ascii=False)}: {json.dumps(one, ensure_ascii=False)}"
            for name, one in sorted(self.content.items())
        )
        partial = self.path.with_suffix(".partial")
        partial.write_text("{\n" + ",\n".join(sections) + "\n}\n")
        partial.replace(self.path)
