"""Run a predictor with ONNX Runtime.

The graph reads `codes` int32 [batch, layers, columns] (zero-padded), `lengths` int32 [batch] and 1-based `epochs` int64
[epochs], and gives `accuracy`, `lower` and `upper` float32 [batch, epochs] and `distance` float32 [batch].
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from .artifact import Artifact, ArtifactError

Provider = Literal["cpu", "cuda"]
Floats = NDArray[np.float32]
INPUTS = ("codes", "lengths", "epochs")
OUTPUTS = ("accuracy", "lower", "upper", "distance")
_PROVIDERS = {
    "cpu": ("CPUExecutionProvider", {}),
    # TF32 would differ from the CPU in the third decimal, and misread a width of 10,001: it goes through a convolution.
    "cuda": ("CUDAExecutionProvider", {"use_tf32": "0"}),
}


@dataclass(frozen=True, slots=True)
class Curves:
    """Predictions for a batch: accuracy and its interval [batch, epochs], out-of-distribution score [batch]."""

    accuracy: Floats
    lower: Floats
    upper: Floats
    distance: Floats


class Predictor:
    """A loaded artifact. Safe to call from several threads; `run` releases the interpreter lock.

    A session hands the buffers of one call to the next, whoever makes it. Threads that share a session therefore fetch
    what they write from each other's caches, which took half as long again as the call itself: whoever predicts from
    several threads at a time had better have a lane for each.

    Attributes:
        card: the artifact's.
        provider: name of the execution provider in use.
    """

    def __init__(self, artifact: Artifact, *, threads: int = 1, provider: Provider = "cpu", lanes: int = 1) -> None:
        """Load the model from the verified bytes.

        Args:
            artifact: what `read_artifact` returned.
            threads: cores one call may use.
            provider: where to run. With `cuda` ONNX Runtime still keeps the arithmetic of shapes on the CPU, for speed.
            lanes: sessions with buffers of their own, each 2 MiB at first and 20 once large batches went through it.

        Raises:
            ArtifactError: when ONNX Runtime cannot load it there or its inputs and outputs are not a predictor's.
        """
        self.card = artifact.card
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            self._sessions = [
                ort.InferenceSession(artifact.model, options, providers=[_PROVIDERS[provider]]) for _ in range(lanes)
            ]
        except Exception as error:  # ONNX Runtime raises a different class for each status
            reason = str(error).splitlines()[0][:300]
            raise ArtifactError(f"{artifact.folder}: ONNX Runtime cannot load the model: {reason}") from error
        session = self._sessions[0]
        self.provider = str(session.get_providers()[0])
        if self.provider != _PROVIDERS[provider][0]:
            raise ArtifactError(
                f"ONNX Runtime could not start its {_PROVIDERS[provider][0]} and took {self.provider}; "
                "see the versions of the driver and of CUDA"
            )
        names = tuple(i.name for i in session.get_inputs()), tuple(o.name for o in session.get_outputs())
        if names != (INPUTS, OUTPUTS):
            raise ArtifactError(f"{artifact.folder}: the model's inputs and outputs are {names}, not a predictor's")
        if session.get_inputs()[0].shape[2:] != [len(self.card.layer_code.columns)]:
            raise ArtifactError(f"{artifact.folder}: the model does not read the {self.card.code} code")

    def run(
        self, codes: NDArray[np.int32], lengths: NDArray[np.int32], epochs: Sequence[int], *, lane: int = 0
    ) -> Curves:
        """Predict a padded batch on a lane; see the module's docstring for shapes."""
        feeds = {"codes": codes, "lengths": lengths, "epochs": np.asarray(epochs, dtype=np.int64)}
        return Curves(*self._sessions[lane].run(OUTPUTS, feeds))
