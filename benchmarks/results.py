"""Look up figures among a run's readings."""

from collections import Counter
from typing import Any

import numpy as np


class Results:
    """The readings of one run."""

    def __init__(self, data: dict[str, Any]) -> None:
        self.data = data
        self.servers = [name for name in data["servers"] if name not in data["left_out"]]

    def title(self, name: str) -> str:
        """Return how a server is called."""
        return str(self.data["servers"][name]["title"])

    def _rounds(self, scenario: str, server: str, key: str, **what: object) -> dict[int, float]:
        wanted = {"scenario": scenario, "server": server, **what}
        return {r["round"]: r[key] for r in self.data["readings"] if wanted.items() <= r.items()}

    def median(self, scenario: str, server: str, key: str, **what: object) -> float:
        """Return the median of a figure over the rounds."""
        return float(np.median(list(self._rounds(scenario, server, key, **what).values())))

    def ratio(self, scenario: str, server: str, other: str, key: str, **what: object) -> float:
        """Return the median over the rounds of one server's figure divided by another's."""
        mine, theirs = self._rounds(scenario, server, key, **what), self._rounds(scenario, other, key, **what)
        return float(np.median([mine[n] / theirs[n] for n in mine]))

    def to_best_other(self, scenario: str, key: str, **what: object) -> tuple[float, str]:
        """Return the ratio of the service's rate to that of the server it is the least ahead of, and that server."""
        rivals = [name for name in self.servers if name != "peephole"]
        return min((self.ratio(scenario, "peephole", name, key, **what), name) for name in rivals)

    def difference(self, scenario: str, server: str, other: str, key: str, **what: object) -> float:
        """Return the median over the rounds of one server's figure less another's."""
        mine, theirs = self._rounds(scenario, server, key, **what), self._rounds(scenario, other, key, **what)
        return float(np.median([mine[n] - theirs[n] for n in mine]))

    def pooled(self, scenario: str, server: str) -> dict[str, float]:
        """Return percentiles over the requests of all rounds; nothing when there were none."""
        found = [p for p in self.data["pooled"] if p["scenario"] == scenario and p["server"] == server]
        return found[0] if found else {}

    def statuses(self, scenario: str, server: str) -> Counter[str]:
        """Count the answers of all rounds by status."""
        counted: Counter[str] = Counter()
        for reading in self.data["readings"]:
            if reading["scenario"] == scenario and reading["server"] == server:
                counted.update(reading["statuses"])
        return counted
