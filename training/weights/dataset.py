"""The weights of measured networks as tables to learn from."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model.network.shapes import Shape
from model.torch_modules import build
from model.weight_features import Weights, fan_ins, features, layer_statistics
from training.observations.observation import Observation, ObservationError
from training.protocols import PROTOCOLS

Floats = NDArray[np.floating]
MIN_ROWS = 30


@dataclass(frozen=True)
class WeightsDataset:
    """Networks at one moment of training.

    Attributes:
        layers: of each network, [layers, `LAYER_STATISTICS`].
        summary: [networks, `FEATURES`].
        final: accuracies at the end [networks].
        groups: the architecture of each row.
    """

    layers: list[Floats]
    summary: Floats
    final: Floats
    groups: NDArray[np.str_]

    def only(self, chosen: NDArray[np.intp]) -> "WeightsDataset":
        """Return some of the networks."""
        layers = [self.layers[index] for index in chosen]
        return WeightsDataset(layers, self.summary[chosen], self.final[chosen], self.groups[chosen])

    def without(self, others: "WeightsDataset") -> "WeightsDataset":
        """Leave out the architectures of another table."""
        return self.only(np.flatnonzero(~np.isin(self.groups, others.groups)))


def _fan_in(row: Observation) -> dict[str, int]:
    """Return the fan-in of each weight tensor; tables keep no shapes, the layers give them."""
    if row.in_channels and row.resolution:
        image = Shape(row.in_channels, row.resolution, row.resolution)
    elif row.task in PROTOCOLS:
        image = PROTOCOLS[row.task].image
    else:
        raise ObservationError(f"rows of {row.task} need in_channels and resolution to learn from weight_stats")
    network = build(row.layers, image, classes=2)  # how many does not change any fan-in
    return fan_ins({name: tensor.shape for name, tensor in network.named_parameters()})


def to_weights_dataset(observations: Sequence[Observation], moment: str) -> WeightsDataset:
    """Return the rows that have statistics of the weights at a moment, `quarter` or `final`.

    Raises:
        ObservationError: when there are too few, or the size of their images is not known.
    """
    used = [
        row
        for row in observations
        if row.weight_stats
        and row.status != "diverged"
        and any(n.endswith("weight") for n in row.weight_stats.get(moment, {}))
    ]
    if len(used) < MIN_ROWS:
        task = observations[0].task if observations else "the task"
        raise ObservationError(
            f"{len(used)} rows of {task} have weight_stats of the {moment} weights; at least {MIN_ROWS} are needed"
        )
    read = [Weights(row.weight_stats[moment], _fan_in(row)) for row in used if row.weight_stats]
    final, groups = np.array([row.accuracy[-1] for row in used]), np.array([row.network_id for row in used])
    return WeightsDataset(
        [layer_statistics(one) for one in read], np.stack([features(one) for one in read]), final, groups
    )
