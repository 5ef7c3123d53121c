"""What does a caller wait for with a GPU? `python -m benchmarks.cuda_service`: the service on the CPU and on CUDA.

One client sends one request after the other; every answer on the GPU is compared with the CPU's. Needs the extra `gpu`.
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
from benchmarks.load import connect, post
from benchmarks.measure import accuracies, sequential
from benchmarks.servers import SERVERS, Server
from benchmarks.workload import Workload
from model.artifact import ZOO, Card, read_artifact
from service.cores import available

PROVIDERS = ("cpu", "cuda")
POOL = 2000


def server(provider: str) -> Server:
    """Return Peephole as the benchmark beside other servers runs it, on a provider."""
    ours = next(one for one in SERVERS if one.name == "peephole")
    return replace(ours, environment=ours.environment | {"PEEPHOLE_PROVIDER": provider})


async def read(one: Server, card: Card, seconds: float) -> tuple[list[dict[str, Any]], list[Any]]:
    """Return the readings of a started server at each size, and its curves for the first request of each."""
    workload = Workload(card, POOL)
    await one.ready(workload.bodies("codes", 1, 1)[0])
    rows, curves = [], []
    for size in SIZES:
        connection = await connect(one.port)
        answer = await connection.send(post(workload.bodies("codes", size, 1)[0]))
        connection.close()
        curves.append(accuracies(answer.body, card.epochs))
        await sequential(one.port, workload, "codes", size, seconds / 4)  # ONNX Runtime plans for new shapes
        rows.append({"networks": size} | await sequential(one.port, workload, "codes", size, seconds))
    return rows, curves


def measure(artifact: Path, seconds: float, logs: Path) -> dict[str, Any]:
    """Return the readings of each provider, and how far the answers on the GPU are from the CPU's at most.

    Raises:
        RuntimeError: when a server does not start, for instance for want of a GPU; its log is printed.
    """
    card = read_artifact(artifact).card
    found: dict[str, Any] = {}
    answers = {}
    for provider in PROVIDERS:
        one = server(provider)
        one.start(artifact.resolve(), available(), logs)
        try:
            found[provider], answers[provider] = asyncio.run(read(one, card, seconds))
        except RuntimeError:
            print((logs / "peephole.log").read_text(), file=sys.stderr)
            raise
        finally:
            one.stop()
    pairs = zip(answers["cpu"], answers["cuda"], strict=True)
    found["difference"] = max(float(np.abs(cpu - cuda).max()) for cpu, cuda in pairs)
    return found


def main() -> int:
    """Measure, print, write; return 1 when an answer on the GPU differs from the CPU's by more than 1e-4."""
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
