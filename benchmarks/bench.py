"""`python -m benchmarks.bench`: measure the service beside other servers in one run; write benchmarks/results.json.

The servers take turns in short readings, round after round, so that other load on the machine affects all of them; in
between they are paused. A reading is one row of the results; ratios are taken within a round.
"""

import argparse
import gc
import json
import shutil
import sys
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from operator import itemgetter
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np
import uvloop

from benchmarks import machine, measure
from benchmarks.measure import BATCHES, Reading
from benchmarks.servers import SERVERS, Server
from benchmarks.workload import LAYERS, Workload, body
from model.artifact import ZOO, Artifact, read_artifact
from model.runtime import Predictor

RESULTS = Path(__file__).parent / "results.json"
POOL = 4000  # different networks
CHECKED = 8
TOLERANCE = 1e-5
STEADY_SHARE = 0.4  # of the requests a second of the slowest server
ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class Pace:
    """How long a reading of each kind takes, in seconds, how many rounds there are, and the minutes for them."""

    sequential: float = 0.6
    concurrent: float = 1.0
    steady: float = 4.0
    overload: float = 3.0
    rounds: int = 6
    minutes: float = 7.5


QUICK = Pace(sequential=0.2, concurrent=0.3, steady=0.5, overload=1.0, rounds=1)


class Bench:
    """One run: the servers, the bare predictor with one thread and with all it may have, and the readings so far."""

    def __init__(self, artifact: Artifact, servers: list[Server], pace: Pace, cores: int) -> None:
        self.cores = cores
        self.predictors = [Predictor(artifact, threads=threads) for threads in sorted({1, cores})]
        self.workload = Workload(artifact.card, POOL)
        self.servers = servers
        self.pace = pace
        self.rate = float("inf")
        self.readings: list[dict[str, Any]] = []
        self.left_out: dict[str, str] = {}

    async def prepare(self, model: Path, logs: Path) -> None:
        """Start the servers one by one, check and warm them up; one that does not start is left out.

        Raises:
            RuntimeError: when the service itself does not start, or a server predicts something else.
        """
        for server in list(self.servers):
            try:
                await self._start(server, model, logs)
            except RuntimeError as error:
                if server.name == "peephole":
                    raise
                self.servers.remove(server)
                self.left_out[server.name] = str(error)
                continue
            await self._check(server)
            for batch in BATCHES:
                await measure.sequential(server, self.workload, batch, 0.1)
            for _ in range(2):
                warm = await measure.concurrent(server, self.workload, 1, self.pace.concurrent)
            self.rate = min(self.rate, STEADY_SHARE * warm["requests_per_second"])
            server.pause()
            print(f"{server.name} is ready", file=sys.stderr, flush=True)

    async def _start(self, server: Server, model: Path, logs: Path) -> None:
        for attempt in range(1, ATTEMPTS + 1):
            try:
                server.start(model, self.cores, logs)
                await server.ready(self.workload.bodies(1, 1)[0])
            except RuntimeError as error:
                log = (logs / server.name).with_suffix(".log").read_text()[-2000:]
                print(f"{error}\n{log}", file=sys.stderr, flush=True)
                server.stop()
                if attempt == ATTEMPTS:
                    raise
            else:
                return

    async def _check(self, server: Server) -> None:
        """Check that a server returns the bare predictor's curves.

        Raises:
            RuntimeError: when it does not.
        """
        predictor, networks = self.predictors[0], self.workload.take(CHECKED)
        epochs = predictor.card.epochs
        expected = [
            predictor.run(one.codes[None], np.array([len(one.codes)], dtype=np.int32), range(1, epochs + 1)).accuracy[0]
            for one in networks
        ]
        got = measure.accuracies(await server.ready(body(networks)), epochs)
        if np.abs(got - np.array(expected)).max() > TOLERANCE:
            raise RuntimeError(f"{server.name} predicts something else than the bare predictor")

    async def run(self, model: Path, logs: Path) -> None:
        """Prepare the servers and take all readings; no further round begins when the time is up."""
        await self.prepare(model, logs)
        began = monotonic()
        for number in range(self.pace.rounds):
            await self._round(number)
            spent = monotonic() - began
            print(f"round {number + 1} of {self.pace.rounds}, {spent:.0f} s", file=sys.stderr, flush=True)
            if spent * (number + 2) / (number + 1) > 60 * self.pace.minutes:
                break

    async def _round(self, number: int) -> None:
        pace, workload = self.pace, self.workload
        for batch in BATCHES:
            bare = [measure.bare(predictor, workload, batch, pace.sequential / 2) for predictor in self.predictors]
            self._note(number, "sequential", "bare", min(bare, key=itemgetter("p50_ms")), batch)
            one_client = partial(measure.sequential, workload=workload, batch=batch, seconds=pace.sequential)
            await self._each(number, "sequential", one_client, batch)
        busy = partial(measure.concurrent, workload=workload, batch=1, seconds=pace.concurrent)
        await self._each(number, "concurrent", busy)
        steady = partial(measure.steady, workload=workload, rate=self.rate, seconds=pace.steady)
        await self._each(number, "steady", steady)
        overloaded = partial(measure.overloaded, workload=workload, seconds=pace.overload)
        await self._each(number, "overload", overloaded, measure.OVERLOAD_BATCH)

    async def _each(
        self, number: int, scenario: str, measured: Callable[[Server], Awaitable[Reading]], batch: int = 1
    ) -> None:
        for server in self.servers:
            async with server.turn():
                reading = await measured(server)
            self._note(number, scenario, server.name, reading, batch)

    def _note(self, number: int, scenario: str, server: str, reading: Reading, batch: int) -> None:
        figures = {name: float(f"{value:.4g}") for name, value in reading.items()}
        self.readings.append({"round": number, "scenario": scenario, "server": server, "batch": batch} | figures)


def write(path: Path, about: dict[str, Any], readings: list[dict[str, Any]]) -> None:
    """Write what was measured and how, then the readings, one a line."""
    rows = ",\n".join(json.dumps(reading) for reading in readings)
    path.write_text(f'{{"about": {json.dumps(about, indent=1)},\n"readings": [\n{rows}\n]}}\n')


def main() -> None:
    """Start the servers, measure, stop them, write the readings."""
    host = machine.describe()
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bench", description=__doc__.partition("\n")[0])
    parser.add_argument("--task", default="mnist-mini", help="which shipped predictor (default: %(default)s)")
    parser.add_argument("--servers", help="names separated by commas: peephole,stock,litserve,... (default: all)")
    parser.add_argument("--cores", type=int, default=host["cores"], help="that predictors may use (default: all)")
    parser.add_argument("--quick", action="store_true", help="a minute that shows that all works; no figures to cite")
    parser.add_argument("--out", type=Path, default=RESULTS, help="readings (default: benchmarks/results.json)")
    options = parser.parse_args()
    pace = QUICK if options.quick else Pace()
    servers = [s for s in SERVERS if options.servers is None or s.name in options.servers.split(",")]
    titles = {
        s.name: {"title": s.title, "settings": s.settings.format(cores=options.cores), "versions": s.versions()}
        for s in servers
    }
    began = datetime.now(UTC)
    with tempfile.TemporaryDirectory(prefix="peephole-bench-") as scratch:
        model = Path(shutil.copytree(ZOO / options.task, Path(scratch) / "model"))  # a refit meanwhile changes nothing
        artifact = read_artifact(model)
        bench = Bench(artifact, servers, pace, options.cores)
        gc.freeze()  # pauses of the load generator would look like the servers'
        try:
            uvloop.run(bench.run(model, Path(scratch)))
        finally:
            for server in (s for s in SERVERS if s.name in titles):
                server.stop()
    networks = bench.workload.networks
    about = {
        "began": f"{began:%Y-%m-%dT%H:%MZ}",
        "minutes": round((datetime.now(UTC) - began).total_seconds() / 60, 1),
        "quick": options.quick,
        "rounds": 1 + bench.readings[-1]["round"],
        "machine": host,
        "model": {"task": artifact.card.task, "sha256": artifact.card.sha256, "epochs": artifact.card.epochs},
        "workload": {
            "networks": len(networks),
            "layers": [LAYERS[0], LAYERS[-1]],
            "mean_bytes": round(float(np.mean([len(one.json) for one in networks]))),
        },
        "servers": titles,
        "left_out": bench.left_out,
    }
    write(options.out, about, bench.readings)
    print(options.out)


if __name__ == "__main__":
    main()
