"""Tasks that a neural process learns from: tables of measured networks, and made-up functions of their features."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from model.encoding.hand_features import every_feature
from model.encoding.layer_code import EXTENDED
from model.neural_process import to_odds
from training.metrics import Floats
from training.observations.dataset import image_of, to_dataset
from training.observations.observation import Observation

MADE_UP = 0.5  # share of episodes
MADE_UP_FEATURES = 3, 30  # how many a made-up function reads
MADE_UP_UNITS = 2, 8  # of a made-up function that is not linear
MADE_UP_NOISE = 0.2  # standard deviations
MOST_HIDDEN = 0.4  # of the features, in an episode
LARGEST = 4.0  # standard deviations of a feature that a made-up function reads
TINY = 1e-6


@dataclass(frozen=True)
class ProcessTask:
    """Networks of one task.

    Attributes:
        name: of the task.
        features: all hand features [networks, features].
        odds: logits of final accuracies [networks].
    """

    name: str
    features: Floats
    odds: Floats

    def __len__(self) -> int:
        return len(self.odds)


@dataclass(frozen=True)
class Episode:
    """Networks of a task, some of them as if they were measured.

    Attributes:
        known: features of these [known, features].
        odds: logits of their accuracies [known].
        asked: features of others [asked, features].
        truth: logits of their accuracies [asked].
        kept: 0 for features that are hidden, else 1 [features].
    """

    known: Floats
    odds: Floats
    asked: Floats
    truth: Floats
    kept: Floats


def tasks_of(rows: Sequence[Observation]) -> Iterator[ProcessTask]:
    """Yield the tasks of a table's rows; networks of the test split are left out, so that they can test it.

    Raises:
        ObservationError: when a layer cannot be expressed.
    """
    learned = [row for row in rows if row.split == "train"]
    for name in sorted({row.task for row in learned}):
        own = [row for row in learned if row.task == name]
        image = image_of(own)
        table = to_dataset(own, EXTENDED, image)
        codes = [rows[:length] for rows, length in zip(table.codes, table.lengths, strict=True)]
        yield ProcessTask(name, every_feature(codes, image), to_odds(table.final))


def draw_episode(task: ProcessTask, known: int, asked: int, rng: np.random.Generator) -> Episode:
    """Draw networks of a task; half of the time a made-up function takes the place of their accuracies.

    Args:
        task: with at least as many networks as are drawn.
        known: how many count as measured.
        asked: how many others.
        rng: of the draw.
    """
    drawn = rng.choice(len(task), known + asked, replace=False)
    features = task.features[drawn]
    odds = _made_up(features, rng) if rng.random() < MADE_UP else task.odds[drawn]
    kept = np.where(rng.random(features.shape[1]) < MOST_HIDDEN * rng.random(), 0.0, 1.0)
    return Episode(features[:known], odds[:known], features[known:], odds[known:], kept)


def _made_up(features: Floats, rng: np.random.Generator) -> Floats:
    """Return values of a random function of a few features, linear or a small network, with noise [networks]."""
    count = rng.integers(*MADE_UP_FEATURES, endpoint=True)
    chosen = features[:, rng.choice(features.shape[1], count, replace=False)]
    scaled = np.clip((chosen - chosen.mean(axis=0)) / (chosen.std(axis=0) + TINY), -LARGEST, LARGEST)
    if rng.random() < 0.5:
        values = scaled @ rng.normal(size=count)
    else:
        units = rng.integers(*MADE_UP_UNITS, endpoint=True)
        slopes = rng.normal(0, 1.5 / count**0.5, size=(count, units))
        values = np.tanh(scaled @ slopes + rng.normal(0, 0.5, units)) @ rng.normal(size=units)
    values = (values - values.mean()) / (values.std() + TINY)
    return np.asarray(values + rng.normal(0, MADE_UP_NOISE, len(values)))
