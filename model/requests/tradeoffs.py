"""What a request says about costs: constraints that networks meet or not, objectives to trade off."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ..network.faults import Fault, pointer
from ..network.graph import Costs
from ..pareto import pareto_ranks
from .errors import MAX_FAULTS, InvalidRequestError

ACCURACY = "accuracy"


@dataclass(frozen=True, slots=True)
class TradeOffs:
    """Checked wishes, and the costs of each network that they name.

    Attributes:
        constraints: upper bounds by name.
        objectives: names; accuracy is to be large, all others small.
        costs: of each network, by name, those of the client included.
    """

    constraints: Mapping[str, float]
    objectives: Sequence[str]
    costs: Sequence[Mapping[str, float]]

    def fields(self, accuracy: Sequence[float]) -> list[dict[str, Any]]:
        """Return the fields of the answer that were asked for, of each network; accuracies are final ones."""
        found: list[dict[str, Any]] = [{} for _ in accuracy]
        if self.constraints:
            for fields, costs in zip(found, self.costs, strict=True):
                fields["feasible"] = all(costs[name] <= bound for name, bound in self.constraints.items())
        if self.objectives:
            columns = [
                [-value for value in accuracy] if name == ACCURACY else [costs[name] for costs in self.costs]
                for name in self.objectives
            ]
            for fields, rank in zip(found, pareto_ranks(np.array(columns, dtype=float).T).tolist(), strict=True):
                fields["pareto_rank"] = rank
        return found


def read_trade_offs(document: Mapping[str, Any], costs: Sequence[Costs]) -> TradeOffs:
    """Check that every network has the costs that constraints and objectives name.

    Args:
        document: a validated prediction request.
        costs: of its networks.

    Raises:
        InvalidRequestError: with a pointer to each name that is unknown, or network that lacks a cost.
    """
    constraints: dict[str, float] = document.get("constraints", {})
    objectives: list[str] = document.get("objectives", [])
    if not constraints and not objectives:
        return TradeOffs(constraints, objectives, [])
    own = [architecture.get("costs", {}) for architecture in document["architectures"]]
    known = [{**given, **asdict(computed)} for given, computed in zip(own, costs, strict=True)]
    named = [(pointer("constraints", name), name) for name in constraints]
    named += [(pointer("objectives", place), name) for place, name in enumerate(objectives) if name != ACCURACY]
    faults = [fault for where, name in named for fault in _lacking(name, where, known)]
    if len(set(objectives)) < len(objectives):
        faults.append(Fault("/objectives", "duplicate", "each objective may be listed once"))
    if faults:
        raise InvalidRequestError(*faults[:MAX_FAULTS])
    return TradeOffs(constraints, objectives, known)


def _lacking(name: str, where: str, known: Sequence[Mapping[str, float]]) -> Iterable[Fault]:
    lacking = [index for index, costs in enumerate(known) if name not in costs]
    if len(lacking) == len(known):
        everywhere = set.intersection(*(set(costs) for costs in known))
        return [Fault(where, "unknown-value", f"no network has this cost; all have {', '.join(sorted(everywhere))}")]
    detail = "lacks a cost that `constraints` or `objectives` name"
    return [Fault(pointer("architectures", index, "costs"), "missing", detail) for index in lacking]
