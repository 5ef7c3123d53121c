"""Open the small graphs beside a predictor: one thread, on the CPU, whatever runs the predictor itself."""

from collections.abc import Sequence

import onnxruntime as ort

from .artifact import ArtifactError


def open_graph(model: bytes, name: str, inputs: Sequence[str]) -> ort.InferenceSession:
    """Return a session.

    Args:
        model: verified bytes.
        name: of the graph, for errors.
        inputs: the names that the graph must have, in order.

    Raises:
        ArtifactError: when ONNX Runtime cannot load it or its inputs are others.
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    try:
        session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime raises a different class for each status
        raise ArtifactError(f"{name}: {str(error).splitlines()[0][:300]}") from error
    found = tuple(entry.name for entry in session.get_inputs())
    if found != tuple(inputs):
        raise ArtifactError(f"{name}: its inputs are {found}, not {tuple(inputs)}")
    return session
