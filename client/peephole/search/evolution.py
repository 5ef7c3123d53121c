"""Searches that are asked for networks and told what they are worth."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any

import numpy as np

from ..model.network.graph import costs as costs_of
from ..model.network.graph import resolve
from ..model.network.schema import Layer
from ..model.pareto import pareto_ranks
from .crossover import crossover
from .mutation import mutate
from .space import COMPUTED, Layers, Space, hash, read, sample  # noqa: A004 - the word for it

Network = Layers | Mapping[str, Any]
MOST_TRIES = 100  # children that are known already, before one is sampled


@dataclass(frozen=True, slots=True)
class Candidate:
    """A network that was told about.

    Attributes:
        id: its hash.
        layers: of the network.
        accuracy: as it was told; more is better.
        costs: `params`, `flops`, `activation_bytes`, and those that were told.
    """

    id: str
    layers: list[Layer]
    accuracy: float
    costs: Mapping[str, float]


class RandomSearch:
    """Asks for distinct networks of a space. Can be pickled, and goes on where it was.

    Args:
        space: to search; its constraints are kept by all networks that are asked for.
        objectives: `accuracy` and costs to trade off.
        constraints: upper bounds of costs that are told; candidates that miss them come last.
        seed: fixes what is asked for.

    Attributes:
        history: all candidates that were told, in that order.
    """

    def __init__(
        self,
        space: Space,
        *,
        objectives: Sequence[str] = ("accuracy",),
        constraints: Mapping[str, float] | None = None,
        seed: int = 0,
    ) -> None:
        self.space, self.objectives, self.constraints = space, tuple(objectives), dict(constraints or {})
        self.history: list[Candidate] = []
        self._rng = np.random.default_rng(seed)
        self._known: set[str] = set()

    def ask(self, count: int = 1) -> list[dict[str, Any]]:
        """Return networks that were not asked for before, as architectures with their hash as `id`.

        Raises:
            ValueError: when no other network is found within the space.
        """
        return [self._new() for _ in range(count)]

    def tell(
        self,
        networks: Sequence[Network],
        accuracies: Sequence[float],
        costs: Sequence[Mapping[str, float]] | None = None,
    ) -> None:
        """Say what networks are worth: those that were asked for, or others.

        Args:
            networks: layers or architectures.
            accuracies: of each; one that is no number is of a network that failed, and is not kept.
            costs: of each, measured by the caller.

        Raises:
            RequestError: when layers make no network.
            ValueError: when the lengths differ, or a cost of the objectives or constraints is missing.
        """
        told = [{} for _ in networks] if costs is None else costs
        for network, accuracy, own in zip(networks, accuracies, told, strict=True):
            layers = read(network, self.space.input)
            found = costs_of(resolve(layers, self.space.image))
            known = {**{name: getattr(found, name) for name in COMPUTED}, **own}
            missing = {*self.objectives, *self.constraints} - {"accuracy", *known}
            if missing:
                raise ValueError(f"costs lack {', '.join(sorted(missing))}")
            candidate = Candidate(hash(layers, self.space.input), layers, float(accuracy), known)
            self._known.add(candidate.id)
            if isfinite(candidate.accuracy):
                self._keep(candidate)

    def best(self, count: int = 1) -> list[Candidate]:
        """Return the best candidates: feasible ones first, then by Pareto front and accuracy."""
        return self._sorted(self.history)[:count]

    def front(self) -> list[Candidate]:
        """Return the feasible candidates that no other dominates, the most accurate first."""
        able = [one for one in self.history if self._is_feasible(one)]
        ranks = pareto_ranks(self._values(able)) if able else np.empty(0)
        return self._sorted([one for one, rank in zip(able, ranks, strict=True) if rank == 1])

    def _new(self) -> dict[str, Any]:
        for _ in range(MOST_TRIES):
            layers = self._propose()
            identity = hash(layers, self.space.input)
            if identity not in self._known:
                self._known.add(identity)
                return {"id": identity, "layers": layers}
        raise ValueError("no other network is found within the space")

    def _propose(self) -> list[Layer]:
        return sample(self.space, seed=self._rng)[0]

    def _keep(self, candidate: Candidate) -> None:
        self.history.append(candidate)

    def _is_feasible(self, candidate: Candidate) -> bool:
        return all(candidate.costs[name] <= most for name, most in self.constraints.items())

    def _values(self, candidates: Sequence[Candidate]) -> "np.ndarray[Any, np.dtype[np.float64]]":
        """Return the objectives of candidates, to be minimised."""
        rows = [
            [-one.accuracy if name == "accuracy" else one.costs[name] for name in self.objectives] for one in candidates
        ]
        return np.array(rows, dtype=np.float64)

    def _sorted(self, candidates: Sequence[Candidate]) -> list[Candidate]:
        if not candidates:
            return []
        ranks = pareto_ranks(self._values(candidates))
        keys = [(not self._is_feasible(one), rank, -one.accuracy) for one, rank in zip(candidates, ranks, strict=True)]
        return [candidates[place] for place in sorted(range(len(keys)), key=keys.__getitem__)]


class Evolution(RandomSearch):
    """Regularised evolution: the best of a few draws from the population has a child, the oldest dies.

    Source: Real et al., arXiv 1802.01548, algorithm 1. Unlike there, no network is asked for twice.

    Args:
        space: as in `RandomSearch`, like all that is not listed here.
        population: candidates that are alive; as many are sampled at first.
        tournament: draws of which the best becomes a parent.
        crossover: share of children that have two parents, before they are mutated.
    """

    def __init__(
        self, space: Space, *, population: int = 50, tournament: int = 10, crossover: float = 0.0, **options: Any
    ) -> None:
        super().__init__(space, **options)
        if population < 2 or tournament < 1 or not 0 <= crossover <= 1:
            raise ValueError("population is at least 2, tournament at least 1, and crossover from 0 to 1")
        self.population: list[Candidate] = []
        self._size, self._tournament, self._crossover = population, tournament, crossover

    def _propose(self) -> list[Layer]:
        if len(self._known) < self._size or not self.population:
            return super()._propose()
        try:
            layers = self._parent().layers
            if self._rng.random() < self._crossover:
                layers = crossover(layers, self._parent().layers, self.space, seed=self._rng)
            return mutate(layers, self.space, seed=self._rng)
        except ValueError:  # parents that are too much alike, or at the edge of the space
            return super()._propose()

    def _parent(self) -> Candidate:
        drawn = self._rng.choice(len(self.population), size=min(self._tournament, len(self.population)), replace=False)
        return self._sorted([self.population[place] for place in drawn])[0]

    def _keep(self, candidate: Candidate) -> None:
        super()._keep(candidate)
        self.population = [*self.population, candidate][-self._size :]
