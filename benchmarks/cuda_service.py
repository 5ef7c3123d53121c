"""How fast is the service on a GPU? `python -m benchmarks.cuda_service`: one client, on the CPU and on CUDA.

Curves from the GPU are compared with the CPU's. Needs the extra `gpu`.
"""

import argparse
import asyncio
import json
import sys
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from benchmarks import machine
from benchmarks.cuda import SIZES, TOLERANCE
from benchmarks.measure import accuracies, sequential
from benchmarks.servers import SERVERS, Server
from benchmarks.workload import Workload
from model.artifact import ZOO, Card, read_artifact
from service.cores import available_cores

PROVIDERS = ("cpu", "cuda")
POOL = 2000


def server(provider: str) -> Server:
    """Return the service as the comparison with other servers runs it, on a provider."""
    ours = next(one for one in SERVERS if one.name == "peephole")
    return replace(ours, environment=ours.environment | {"PEEPHOLE_PROVIDER": provider})


async def read(one: Server, card: Card, seconds: float) -> tuple[list[dict[str, Any]], list[Any]]:
    """Return the readings of a started server at each size, and its curves for the first request of each."""
    workload = Workload(card, POOL)
    rows, curves = [], []
    for size in SIZES:
        curves.append(accuracies(await one.ready(workload.bodies(size, 1)[0]), card.epochs))
        await sequential(one, workload, size, seconds / 4)  # ONNX Runtime plans for new shapes
        rows.append({"networks": size} | await sequential(one, workload, size, seconds))
    return rows, curves


def measure(artifact: Path, seconds: float, logs: Path) -> dict[str, Any]:
    """Return the readings of each provider, and the largest difference between the GPU's curves and the CPU's.

    Raises:
        RuntimeError: when a server does not start, for instance where there is no GPU; its log is printed.
    """
    card = read_artifact(artifact).card
    found: dict[str, Any] = {}
    curves = {}
    for provider in PROVIDERS:
        one = server(provider)
        one.start(artifact.resolve(), available_cores(), logs)
        try:
            found[provider], curves[provider] = asyncio.run(read(one, card, seconds))
        except RuntimeError:
            print((logs / "peephole.log").read_text(), file=sys.stderr)
            raise
        finally:
            one.stop()
    pairs = zip(curves["cpu"], curves["cuda"], strict=True)
    found["difference"] = max(float(np.abs(cpu - cuda).max()) for cpu, cuda in pairs)
    return found


def main() -> int:
    """Measure, print, write; return 1 when a curve on the GPU differs from the CPU's by more than 1e-4."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--artifact", type=Path, default=ZOO / "cifar10-mini", help="folder of a predictor")
    parser.add_argument("--seconds", type=float, default=2.0, help="length of each reading")
    parser.add_argument("--out", type=Path, help="write everything as JSON")
    options = parser.parse_args()
    try:
        with TemporaryDirectory() as logs:
            found = measure(options.artifact, options.seconds, Path(logs))
    except RuntimeError as error:
        print(f"benchmarks.cuda_service: {error}", file=sys.stderr)
        return 2
    for provider in PROVIDERS:
        for row in found[provider]:
            print(
                f"{provider:5} {row['networks']:5} networks  p50 {row['p50_ms']:8.3f} ms  p99 {row['p99_ms']:8.3f} ms"
            )
    print(f"difference {found['difference']:.1e}")
    if options.out:
        options.out.write_text(json.dumps({"machine": machine.describe()} | found, indent=1))
    return int(found["difference"] > TOLERANCE)


if __name__ == "__main__":
    sys.exit(main())
