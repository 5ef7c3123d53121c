"""Does a GPU pay? `python -m benchmarks.cuda`: ONNX Runtime on the CPU and on the GPU, PyTorch on the GPU, one table.

Two predictors: a shipped artifact, and the paper's network with untrained weights, which exists in PyTorch and as ONNX
and so can be compared with eager and compiled PyTorch. Latency is the median over calls from NumPy arrays to NumPy
arrays, copies to and from the GPU included. Needs the extra `gpu` and, for the PyTorch columns, PyTorch with CUDA.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import torch
from numpy.typing import NDArray

from benchmarks import machine
from model.artifact import MEMBERS_FILE, ZOO, Artifact, ArtifactError, read_artifact
from model.encoding.layer_code import PAPER, LayerCode, encode, pad
from model.network.shapes import Shape
from model.predictors.export import to_onnx
from model.predictors.peephole import Peephole, fold_batch_norm
from model.runtime import Predictor, Provider
from model.sampling.blocks import sample_block
from model.sampling.skeleton import assemble

SIZES = (1, 32, 1000)
EPOCHS = 120  # of the paper's curves
WIDTH = 16
TOLERANCE = 1e-4
CUDA = ("CUDAExecutionProvider", {"use_tf32": "0"})
CPU = "CPUExecutionProvider"
Ints = NDArray[np.int32]
Floats = NDArray[np.float32]
Call = Callable[[Ints, Ints, NDArray[np.int64]], Floats]


class NoGpuError(RuntimeError):
    """ONNX Runtime has no CUDA provider, or could not start it."""


def networks(code: LayerCode, image: Shape, count: int) -> list[Ints]:
    """Return the codes of networks that the block generator draws."""
    generator = (assemble(sample_block(np.random.default_rng([7, i])), image, WIDTH) for i in range(count))
    return [encode(layers, code, image).codes for layers in generator]


def session(model: bytes, *, cuda: bool, strict: bool = False) -> ort.InferenceSession:
    """Return a session on the GPU or on the CPU.

    Args:
        model: ONNX bytes.
        cuda: on the GPU.
        strict: fail when any node is left to the CPU (`session.disable_cpu_ep_fallback`).

    Raises:
        NoGpuError: when the GPU is wanted and ONNX Runtime took the CPU.
    """
    options = ort.SessionOptions()
    options.log_severity_level = 3
    if not cuda:
        return ort.InferenceSession(model, options, providers=[CPU])
    if CUDA[0] not in ort.get_available_providers():
        raise NoGpuError("this ONNX Runtime has no CUDA provider; install the `gpu` extra")
    ort.preload_dlls()
    if strict:
        options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
    made = ort.InferenceSession(model, options, providers=[CUDA])
    if made.get_providers()[0] != CUDA[0]:
        raise NoGpuError("ONNX Runtime could not start its CUDA provider; see the driver and CUDA versions")
    return made


def strict_fault(model: bytes) -> str | None:
    """Return why ONNX Runtime will not run every node on the GPU; nothing when it will."""
    try:
        session(model, cuda=True, strict=True)
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
    return lambda codes, lengths, epochs: predictor.run(codes, lengths, epochs.tolist()).accuracy


def by_onnxruntime(made: ort.InferenceSession) -> Call:
    """Return a call that runs the paper's network with ONNX Runtime."""

    def call(codes: Ints, lengths: Ints, epochs: NDArray[np.int64]) -> Floats:
        return np.asarray(made.run(None, {"codes": codes, "lengths": lengths, "epochs": epochs})[0])

    return call


def by_torch(module: torch.nn.Module) -> Call:
    """Return a call that predicts accuracies with PyTorch on its GPU."""

    @torch.inference_mode()
    def call(codes: Ints, lengths: Ints, epochs: NDArray[np.int64]) -> Floats:
        tensors = [torch.from_numpy(array).cuda() for array in (codes, lengths, epochs)]
        return np.asarray(module(*tensors)[0].cpu().numpy())

    return call


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


def table(calls: dict[str, Call], encodings: Sequence[Ints], epochs: int, seconds: float) -> list[dict[str, Any]]:
    """Return a row for each size and choice of epochs: milliseconds, and difference from the first call's answer."""
    rows = []
    for size in SIZES:
        codes, lengths = pad(list(encodings[:size]))
        for name, ticks in (("final", [epochs]), ("curve", list(range(1, epochs + 1)))):
            arguments = (codes, lengths, np.asarray(ticks, dtype=np.int64))
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


def paper_network() -> Peephole:
    """Return the paper's network with untrained weights: as fast as a trained one."""
    torch.manual_seed(0)
    return fold_batch_norm(Peephole(PAPER, EPOCHS))


def measure(artifact: Path, *, gpu: bool, seconds: float) -> dict[str, Any]:
    """Print and return the tables of both predictors.

    Raises:
        NoGpuError: when there should be a GPU and there is none.
    """
    shipped = read_artifact(artifact)
    card, paper = shipped.card, to_onnx(paper_network())
    calls = {card.task: {"onnxruntime cpu": by_artifact(shipped, "cpu")}}
    calls["paper"] = {"onnxruntime cpu": by_onnxruntime(session(paper, cuda=False))}
    if gpu:
        calls["paper"]["onnxruntime cuda"] = by_onnxruntime(session(paper, cuda=True))
        calls[card.task]["onnxruntime cuda"] = by_artifact(shipped, "cuda")
        if torch.cuda.is_available():
            module = paper_network().cuda()
            calls["paper"]["pytorch eager"] = by_torch(module)
            calls["paper"]["pytorch compiled"] = by_torch(torch.compile(module, dynamic=True))
    inputs = {
        card.task: (networks(card.layer_code, card.image, max(SIZES)), card.epochs, shipped.files[MEMBERS_FILE]),
        "paper": (networks(PAPER, Shape(3, 32, 32), max(SIZES)), EPOCHS, paper),
    }
    found: dict[str, Any] = {}
    for name, (encodings, epochs, model) in inputs.items():
        rows = table(calls[name], encodings, epochs, seconds)
        found[name] = {"strict_fault": strict_fault(model) if gpu else None, "rows": rows}
        show(name, found[name])
    return found


def show(name: str, result: dict[str, Any]) -> None:
    """Print the table of a predictor."""
    if result["strict_fault"]:
        print(f"{name}: some nodes stay on the CPU: {result['strict_fault']}")
    for row in result["rows"]:
        times = "  ".join(f"{runner} {ms:9.3f} ms" for runner, ms in row["ms"].items())
        worst = max(row["difference"].values())
        print(f"{name:16} {row['networks']:5} networks  {row['epochs']:6} {times}  difference {worst:.1e}")


def main() -> int:
    """Measure and write; return 1 when the GPU differs from the CPU by more than 1e-4."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--artifact", type=Path, default=ZOO / "metaqnn-cifar10", help="folder of a predictor")
    parser.add_argument("--seconds", type=float, default=2.0, help="length of each reading")
    parser.add_argument("--cpu-only", action="store_true", help="the CPU's column alone, where there is no GPU")
    parser.add_argument("--out", type=Path, help="write everything as JSON")
    options = parser.parse_args()
    try:
        found = measure(options.artifact, gpu=not options.cpu_only, seconds=options.seconds)
    except NoGpuError as error:
        print(f"benchmarks.cuda: {error}", file=sys.stderr)
        return 2
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    if options.out:
        options.out.write_text(json.dumps({"machine": machine.describe(), "gpu": gpu, "predictors": found}, indent=1))
    differences = (max(row["difference"].values()) for result in found.values() for row in result["rows"])
    return int(max(differences) > TOLERANCE)


if __name__ == "__main__":
    sys.exit(main())
