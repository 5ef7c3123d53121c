"""Does a GPU pay? `python -m benchmarks.cuda`: a shipped predictor on the CPU and on the GPU, one table.

Latency is the median over calls from NumPy arrays to NumPy arrays, copies to and from the GPU included. Needs the extra
`gpu`.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from benchmarks import machine
from model.artifact import MEMBERS_FILE, ZOO, Artifact, ArtifactError, read_artifact
from model.encoding.layer_code import LayerCode, encode, pad
from model.network.shapes import Shape
from model.onnx_network import PROVIDERS
from model.runtime import Predictor, Provider
from model.sampling.blocks import sample_block
from model.sampling.skeleton import assemble

SIZES = (1, 32, 1000)
WIDTH = 16
TOLERANCE = 1e-4
CUDA = PROVIDERS["cuda"][0]
Ints = NDArray[np.int32]
Floats = NDArray[np.float32]
Call = Callable[[Ints, Ints, list[int]], Floats]


class NoGpuError(RuntimeError):
    """ONNX Runtime has no CUDA provider, or could not start it."""


def networks(code: LayerCode, image: Shape, count: int) -> list[Ints]:
    """Return the codes of networks that the block generator draws."""
    generator = (assemble(sample_block(np.random.default_rng([7, i])), image, WIDTH) for i in range(count))
    return [encode(layers, code, image).codes for layers in generator]


def session(model: bytes, *, strict: bool = False) -> ort.InferenceSession:
    """Return a session on the GPU.

    Args:
        model: ONNX bytes.
        strict: fail when any node is left to the CPU (`session.disable_cpu_ep_fallback`).

    Raises:
        NoGpuError: when ONNX Runtime took the CPU.
    """
    options = ort.SessionOptions()
    options.log_severity_level = 3
    if CUDA not in ort.get_available_providers():
        raise NoGpuError("this ONNX Runtime has no CUDA provider; install the `gpu` extra")
    ort.preload_dlls()
    if strict:
        options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
    made = ort.InferenceSession(model, options, providers=[PROVIDERS["cuda"]])
    if made.get_providers()[0] != CUDA:
        raise NoGpuError("ONNX Runtime could not start its CUDA provider; see the driver and CUDA versions")
    return made


def strict_fault(model: bytes) -> str | None:
    """Return why ONNX Runtime will not run every node on the GPU; nothing when it will."""
    try:
        session(model, strict=True)
    except NoGpuError:
        raise
    except Exception as error:  # ONNX Runtime raises a different class for each status
        return str(error).splitlines()[0]
    return None


def by_artifact(artifact: Artifact, provider: Provider) -> Call:
    """Return a call that predicts accuracies as the service does.

    Raises:
        NoGpuError: when the GPU is wanted and ONNX Runtime took the CPU.
    """
    try:
        predictor = Predictor(artifact, provider=provider, threads=0)
    except ArtifactError as error:
        raise NoGpuError(str(error)) from error
    return lambda codes, lengths, epochs: predictor.run(codes, lengths, epochs).accuracy


def median_ms(call: Callable[[], object], seconds: float) -> float:
    """Return the median milliseconds of a call, repeated for that long after a warm-up."""
    for _ in range(3):
        call()
    times: list[float] = []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(times) < 5:
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return float(np.median(times)) * 1000


def table(
    calls: Mapping[Provider, Call], encodings: Sequence[Ints], epochs: int, seconds: float
) -> list[dict[str, Any]]:
    """Return a row for each size and choice of epochs: milliseconds, and difference from the first call's answer."""
    rows = []
    for size in SIZES:
        codes, lengths = pad(list(encodings[:size]))
        for name, ticks in (("final", [epochs]), ("curve", list(range(1, epochs + 1)))):
            arguments = (codes, lengths, ticks)
            answers = {runner: call(*arguments) for runner, call in calls.items()}
            first = next(iter(answers.values()))
            rows.append(
                {
                    "networks": size,
                    "epochs": name,
                    "ms": {runner: median_ms(lambda: call(*arguments), seconds) for runner, call in calls.items()},  # noqa: B023
                    "difference": {runner: float(np.abs(answer - first).max()) for runner, answer in answers.items()},
                }
            )
    return rows


def measure(artifact: Artifact, *, gpu: bool, seconds: float) -> dict[str, Any]:
    """Print and return the table of a predictor, and why a node of it stays on the CPU, if one does.

    Raises:
        NoGpuError: when there should be a GPU and there is none.
    """
    card, model = artifact.card, artifact.files[MEMBERS_FILE]
    providers: tuple[Provider, ...] = ("cpu", "cuda") if gpu else ("cpu",)
    calls = {provider: by_artifact(artifact, provider) for provider in providers}
    rows = table(calls, networks(card.layer_code, card.image, max(SIZES)), card.epochs, seconds)
    fault = strict_fault(model) if gpu else None
    if fault:
        print(f"some nodes stay on the CPU: {fault}")
    for row in rows:
        times = "  ".join(f"{runner} {ms:9.3f} ms" for runner, ms in row["ms"].items())
        worst = max(row["difference"].values())
        print(f"{row['networks']:5} networks  {row['epochs']:6} {times}  difference {worst:.1e}")
    return {"strict_fault": fault, "rows": rows}


def main() -> int:
    """Measure and write; return 1 when the GPU differs from the CPU by more than 1e-4."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--artifact", type=Path, default=ZOO / "metaqnn-cifar10", help="folder of a predictor")
    parser.add_argument("--seconds", type=float, default=2.0, help="length of each reading")
    parser.add_argument("--cpu-only", action="store_true", help="the CPU's column alone, where there is no GPU")
    parser.add_argument("--out", type=Path, help="write everything as JSON")
    options = parser.parse_args()
    try:
        found = measure(read_artifact(options.artifact), gpu=not options.cpu_only, seconds=options.seconds)
    except NoGpuError as error:
        print(f"benchmarks.cuda: {error}", file=sys.stderr)
        return 2
    if options.out:
        options.out.write_text(json.dumps({"machine": machine.describe()} | found, indent=1))
    return int(max(max(row["difference"].values()) for row in found["rows"]) > TOLERANCE)


if __name__ == "__main__":
    sys.exit(main())
