"""What measured networks tell of others, as a neural process learned it on many tasks.

A conditional neural process (Garnelo et al., ICML 2018) with attention (Kim et al., ICLR 2019). It is fitted to predict
some networks of a task from others, on tables of many tasks and on made-up ones, so that a few networks of a new task
suffice; Deng and Xiao (arXiv 2605.09290) predict architectures with a convolutional one. What it predicts is evidence
for `context.ContextModel`.
"""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from .artifact import ArtifactError, HasFiles, read_verified
from .encoding.hand_features import ALL_FEATURES
from .ensemble import RunNetwork
from .onnx_network import OnnxNetwork

PROCESS_FILE = "neural_process.onnx"
PROCESS_CARD_FILE = "neural_process.json"
FOLDER = Path(__file__).parent / "in_context"
CLIP = 0.01, 0.995  # of accuracies, before logits
INPUTS = ("known", "odds", "asked", "seen")
OUTPUTS = ("predicted",)
Floats = NDArray[np.floating[Any]]


class ProcessCard(HasFiles):
    """What a process was fitted to.

    Attributes:
        features: names of the hand features that it reads.
        training: tasks, with the networks of each, and settings.
        opset: of the network.
    """

    format: Literal[1] = 1
    features: tuple[str, ...]
    training: dict[str, Any]
    opset: int
    created_at: str


@dataclass(frozen=True)
class NeuralProcess:
    """Predicts networks of a task from measured ones of the same task. Safe to use from several threads.

    Attributes:
        card: what it was fitted to.
        run: the network.
    """

    card: ProcessCard
    run: RunNetwork

    def predict(self, known: Floats, accuracies: Floats, asked: Floats) -> Floats:
        """Predict final accuracies [asked].

        Args:
            known: all hand features of measured networks [known, features].
            accuracies: of these, measured last [known].
            asked: all hand features of the networks to predict [asked, features].
        """
        return self._predict(known, accuracies, asked, np.ones((len(asked), len(known))))

    def leave_one_out(self, known: Floats, accuracies: Floats) -> Floats:
        """Predict each measured network from the others [known]."""
        return self._predict(known, accuracies, known, 1 - np.eye(len(known)))

    def _predict(self, known: Floats, accuracies: Floats, asked: Floats, seen: Floats) -> Floats:
        inputs = known, to_odds(accuracies), asked, seen
        feeds = {name: np.asarray(array, dtype=np.float32) for name, array in zip(INPUTS, inputs, strict=True)}
        return np.asarray(expit(self.run(feeds)[0].astype(np.float64)))


def to_odds(accuracies: Floats) -> Floats:
    """Return the logits of accuracies."""
    return np.asarray(logit(np.clip(accuracies, *CLIP)))


def read_process(folder: Path = FOLDER) -> NeuralProcess:
    """Read a process from its folder.

    Raises:
        ArtifactError: when a file is missing or is not the card's, or the features are not those of this version.
    """
    card, files = read_verified(folder, ProcessCard, PROCESS_CARD_FILE, (PROCESS_FILE,))
    if card.features != ALL_FEATURES:
        raise ArtifactError(f"{folder}: it reads features that this version does not have; fit it again")
    return NeuralProcess(card, OnnxNetwork(files[PROCESS_FILE], str(folder / PROCESS_FILE), INPUTS, OUTPUTS))


@cache
def shipped_process() -> NeuralProcess:
    """Return the process that ships with the package; it is read once."""
    return read_process()
