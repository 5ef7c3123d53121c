"""`python -m benchmarks.bench`: measure the service and its rivals in one run, write JSON.

The servers take turns in short readings, round after round, so that what else happens on the machine happens to all of
them; in between they stand still (SIGSTOP). Figures are medians over rounds; ratios are taken within a round.
"""

import argparse
import asyncio
import gc
import json
import shutil
import sys
import tempfile
from dataclasses import asdict, replace
from datetime import UTC, datetime
from operator import itemgetter
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np
import uvloop

from benchmarks import machine, measure
from benchmarks.measure import BATCHES, Pace, Reading
from benchmarks.servers import ECHO, SERVERS, Server
from benchmarks.workload import LAYERS, Form, Workload
from model.artifact import ZOO, Artifact, read_artifact
from model.runtime import Predictor

FORMS: tuple[Form, ...] = ("codes", "layers")
CHECKED = 8
TOLERANCE = 1e-5
STEADY_SHARE = 0.4
ATTEMPTS = 3


class Bench:
    """One run: the servers, the bare predictor with one thread and with all it may have, and the readings so far."""

    def __init__(self, artifact: Artifact, workload: Workload, servers: list[Server], pace: Pace, cores: int) -> None:
        self.cores = cores
        self.predictor = Predictor(artifact, threads=1)
        self.predictors = [self.predictor] if cores == 1 else [self.predictor, Predictor(artifact, threads=cores)]
        self.workload = workload
        self.servers = servers
        self.pace = pace
        self.reference = [ECHO] if len(servers) > 1 else []
        self.readings: list[dict[str, Any]] = []
        self.pooled: dict[tuple[str, str], list[float]] = {}
        self.left_out: dict[str, str] = {}

    @property
    def ours(self) -> list[Server]:
        """The service, if it is measured: single epochs are requested of it alone."""
        return [server for server in self.servers if server.name == "peephole"]

    def note(self, scenario: str, server: str, round_: int, reading: Reading, **what: object) -> None:
        """Keep a reading."""
        self.readings.append({"scenario": scenario, "server": server, "round": round_, **what, **reading})

    async def start(self, model: Path, logs: Path) -> None:
        """Start the servers one by one; a rival that will not start is left out, and the results say so.

        Raises:
            RuntimeError: when the service itself does not start.
        """
        body = self.workload.bodies("codes", 1, 1)[0]
        for server in self.reference:
            server.start(model, self.cores, logs)
            await server.ready(body)
        for server in list(self.servers):
            for attempt in range(ATTEMPTS):
                try:
                    server.start(model, self.cores, logs)
                    await server.ready(body)
                    break
                except RuntimeError as error:
                    log = (logs / server.name).with_suffix(".log").read_text()[-2000:]
                    print(f"{error}\n{log}", file=sys.stderr, flush=True)
                    server.stop()
                    if attempt + 1 < ATTEMPTS:
                        continue
                    if server.name == "peephole":
                        raise
                    self.servers.remove(server)
                    self.left_out[server.name] = str(error)

    async def check(self) -> None:
        """See that each server gives the bare predictor's answers, in both forms.

        Raises:
            RuntimeError: when one does not.
        """
        epochs = list(range(1, self.predictor.card.epochs + 1))
        for form in FORMS:
            networks = self.workload.take(CHECKED)
            alone = [
                self.predictor.run(n.codes[None], np.array([len(n.codes)], dtype=np.int32), epochs) for n in networks
            ]
            expected = np.concatenate([curves.accuracy for curves in alone])
            body = f'{{"architectures":[{",".join(n.json[form] for n in networks)}]}}'.encode()
            for server in self.servers:
                got = measure.accuracies(await server.ready(body), len(epochs))
                if np.abs(got - expected).max() > TOLERANCE:
                    raise RuntimeError(f"{server.name} answers differently from the bare predictor")
        print("all servers agree with the bare predictor", file=sys.stderr)

    async def warm_up(self) -> None:
        """Let every server meet every kind of request before anything is timed; then they wait for their turns."""
        for server in self.servers:
            for form in FORMS:
                for batch in BATCHES:
                    await measure.sequential(server.port, self.workload, form, batch, 0.1)
                await measure.concurrent(server.port, self.workload, form, 1, self.pace.concurrent / 3)
        for server in [*self.servers, *self.reference]:
            server.pause()

    async def round(self, number: int) -> None:
        """Take every reading but the loads that need to know capacities."""
        for final_only in (False, True):
            for batch in BATCHES:
                epochs = "final" if final_only else "curve"
                for form in FORMS:
                    seconds = self.pace.sequential / 2
                    bare = [
                        measure.bare(predictor, self.workload, batch, seconds, final_only=final_only)
                        for predictor in self.predictors
                    ]
                    reading = min(bare, key=itemgetter("p50_ms"))
                    self.note("sequential", "bare", number, reading, form=form, batch=batch, epochs=epochs)
                    for server in [*self.servers, *self.reference] if not final_only else self.ours:
                        async with server.turn():
                            used = server.cpu_seconds()
                            reading = await measure.sequential(
                                server.port, self.workload, form, batch, self.pace.sequential, final_only=final_only
                            )
                            reading["cpu_ms"] = 1000 * (server.cpu_seconds() - used) / reading["requests"]
                        self.note("sequential", server.name, number, reading, form=form, batch=batch, epochs=epochs)
        for batch in BATCHES[1:]:
            seconds = self.pace.sequential / 2
            reading = measure.bare_split(self.predictor, self.workload, batch, seconds, cores=self.cores)
            self.note("split", "bare", number, reading, batch=batch)
        for form in FORMS:
            for server in self.servers:
                async with server.turn():
                    reading = await measure.concurrent(server.port, self.workload, form, 1, self.pace.concurrent)
                self.note("concurrent", server.name, number, reading, form=form, batch=1)

    def median(self, scenario: str, server: str, key: str, **what: object) -> float:
        """Return the median over rounds of one figure."""
        wanted = {"scenario": scenario, "server": server, **what}
        return float(np.median([r[key] for r in self.readings if wanted.items() <= r.items()]))

    async def steady(self, number: int, rate: float) -> None:
        """Load all servers alike."""
        for server in self.servers:
            async with server.turn():
                reading, latencies = await measure.steady(server.port, self.workload, "codes", rate, self.pace.steady)
            self.note("steady", server.name, number, reading, form="codes", batch=1)
            self.pooled.setdefault(("steady", server.name), []).extend(latencies)

    async def overload(self, number: int) -> None:
        """Find each server's capacity, then send three times as much."""
        for server in self.servers:
            batch = measure.OVERLOAD_BATCH
            async with server.turn():
                peak = await measure.concurrent(server.port, self.workload, "codes", batch, self.pace.overload / 2)
                capacity = peak["per_second"]
                reading, refusals = await measure.overloaded(
                    server.port, self.workload, "codes", batch, capacity, self.pace.overload
                )
                await server.ready(self.workload.bodies("codes", 1, 1)[0])  # once what is still queued has run out
                await asyncio.sleep(self.pace.overload / 4)
            self.note("capacity", server.name, number, peak, form="codes", batch=batch)
            reading["share_of_peak"] = reading["goodput_per_second"] / capacity
            self.note("overload", server.name, number, reading, form="codes", batch=batch)
            self.pooled.setdefault(("refused", server.name), []).extend(refusals)

    async def run(self, model: Path, logs: Path) -> None:
        """Start the servers and take all readings; no further round begins when the time is up."""
        await self.start(model, logs)
        await self.check()
        await self.warm_up()
        print("warmed up", file=sys.stderr, flush=True)
        began = monotonic()
        for number in range(self.pace.rounds):
            await self.round(number)
            spent = monotonic() - began
            print(f"round {number + 1} of {self.pace.rounds}, {spent:.0f} s", file=sys.stderr)
            if spent * (number + 2) / (number + 1) > 60 * self.pace.minutes:
                break
        slowest = min(
            self.median("concurrent", server.name, "requests_per_second", form="codes") for server in self.servers
        )
        for number in range(self.pace.rounds):
            await self.steady(number, STEADY_SHARE * slowest)
        for number in range(self.pace.overload_rounds):
            await self.overload(number)

    def pooled_percentiles(self) -> list[dict[str, Any]]:
        """Return percentiles over the requests of all rounds."""
        return [
            {"scenario": scenario, "server": server, "requests": len(seconds)}
            | {f"p{q}_ms": 1000 * float(np.percentile(seconds, q)) for q in (50, 90, 99)}
            for (scenario, server), seconds in self.pooled.items()
            if seconds
        ]


def _arguments(about: dict[str, str | int | float]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bench", description=__doc__.partition("\n")[0])
    parser.add_argument("--task", default="mnist-mini", help="which shipped predictor (default: %(default)s)")
    parser.add_argument("--servers", default="all", help="names separated by commas: peephole,stock,litserve,...")
    parser.add_argument("--cores", type=int, default=about["cores"], help="that predictors may use (default: all)")
    parser.add_argument("--rounds", type=int, help="how often everything is measured")
    parser.add_argument("--quick", action="store_true", help="a minute that shows that all works; no figures")
    parser.add_argument("--out", type=Path, help="readings (default: benchmarks/results/DATE-MACHINE.json)")
    return parser.parse_args()


def main() -> None:
    """Start the servers, measure, stop them, write the readings."""
    about = machine.describe()
    options = _arguments(about)
    pace = measure.QUICK if options.quick else measure.PACE
    if options.rounds:
        pace = replace(pace, rounds=options.rounds)
    servers = [s for s in SERVERS if options.servers == "all" or s.name in options.servers.split(",")]
    versions = {server.name: server.versions() for server in servers}
    began = datetime.now(UTC)
    with tempfile.TemporaryDirectory(prefix="peephole-bench-") as scratch:
        # a copy, so that a refit meanwhile changes nothing here
        model = Path(shutil.copytree(ZOO / options.task, Path(scratch) / "model"))
        artifact = read_artifact(model)
        workload = Workload(artifact.card, 1500 if options.quick else 4000)
        bench = Bench(artifact, workload, servers, pace, options.cores)
        gc.freeze()  # the load generator's own pauses are no server's fault
        try:
            uvloop.run(bench.run(model, Path(scratch)))
        finally:
            for server in (*servers, ECHO):
                server.stop()
    out = options.out or Path(__file__).parent / "results" / f"{began:%Y-%m-%d}-{about['cores']}-core.json"
    out.parent.mkdir(parents=True, exist_ok=True)
    results = {
        "began": f"{began:%Y-%m-%dT%H:%MZ}",
        "minutes": round((datetime.now(UTC) - began).total_seconds() / 60, 1),
        "machine": about,
        "cores": options.cores,
        "model": {"task": artifact.card.task, "sha256": artifact.card.sha256, "epochs": artifact.card.epochs},
        "workload": {
            "networks": len(workload.networks),
            "layers": [LAYERS[0], LAYERS[-1]],
            "mean_layers": round(float(np.mean([len(n.codes) for n in workload.networks])), 1),
            "bytes": {f: round(float(np.mean([len(n.json[f]) for n in workload.networks]))) for f in FORMS},
        },
        "pace": asdict(pace),
        "left_out": bench.left_out,
        "servers": {
            s.name: {
                "title": s.title,
                "settings": s.settings.format(cores=options.cores),
                "versions": versions[s.name],
            }
            for s in servers
        },
        "pooled": bench.pooled_percentiles(),
        "readings": bench.readings,
    }
    out.write_text(json.dumps(results, indent=1) + "\n")
    print(out)


if __name__ == "__main__":
    main()
