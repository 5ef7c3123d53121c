"""Neural networks that ONNX Runtime runs."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import onnxruntime as ort
from numpy.typing import NDArray

from .artifact import ArtifactError

Provider = Literal["cpu", "cuda"]
PROVIDERS = {
    "cpu": ("CPUExecutionProvider", {}),
    "cuda": ("CUDAExecutionProvider", {"use_tf32": "0"}),  # TF32 would differ from the CPU in the third decimal
}


class OnnxNetwork:
    """A session. Safe to call from several threads; a call releases the interpreter lock.

    A session hands the buffers of one call to the next, whichever thread makes it. Threads that share a session fetch
    what they write from each other's caches, which takes half as long again as the call itself: give each its own.

    Attributes:
        provider: name of the execution provider in use.
    """

    def __init__(
        self,
        model: bytes,
        where: str,
        inputs: Sequence[str],
        outputs: Sequence[str],
        *,
        threads: int = 1,
        provider: Provider = "cpu",
    ) -> None:
        """Load a model.

        Args:
            model: verified bytes.
            where: they come from, for errors.
            inputs: names that the model must have, in order.
            outputs: the same.
            threads: cores that a call may use.
            provider: where to run. With `cuda` ONNX Runtime keeps the arithmetic of shapes on the CPU, for speed.

        Raises:
            ArtifactError: when ONNX Runtime cannot load it there, or its inputs and outputs are others.
        """
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            self._session = ort.InferenceSession(model, options, providers=[PROVIDERS[provider]])
        except Exception as error:  # ONNX Runtime raises a different class for each status
            reason = str(error).splitlines()[0][:300]
            raise ArtifactError(f"{where}: ONNX Runtime cannot load the model: {reason}") from error
        self.provider = str(self._session.get_providers()[0])
        if self.provider != PROVIDERS[provider][0]:
            raise ArtifactError(
                f"ONNX Runtime could not start its {PROVIDERS[provider][0]} and took {self.provider}; "
                "see the versions of the driver and of CUDA"
            )
        for kind, found, expected in (
            ("inputs", self._session.get_inputs(), inputs),
            ("outputs", self._session.get_outputs(), outputs),
        ):
            names = [entry.name for entry in found]
            if names != list(expected):
                raise ArtifactError(f"{where}: its {kind} are {names}, not {list(expected)}")

    def __call__(self, feeds: Mapping[str, NDArray[Any]]) -> list[NDArray[Any]]:
        """Return the outputs in order."""
        return list(self._session.run(None, feeds))
