"""`python -m benchmarks.page`: docs/benchmarks.md, from benchmarks/results.json."""

import argparse
import json
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks.bench import RESULTS
from benchmarks.measure import BATCHES, CONNECTIONS, DEADLINE, OVERLOAD, OVERLOAD_BATCH

PAGE = Path(__file__).parents[1] / "docs" / "benchmarks.md"
AIMS = {1: 1.5, 32: 1.7, 1000: 2.5}  # times the rate of the best other server, by networks in a request
GOODPUT_AIM = 0.8
SERVICE = "peephole"
COUNTS = ("answered", "rejected", "timed_out", "broken")


class Results:
    """The readings of one run, and how it was made (`about`)."""

    def __init__(self, data: dict[str, Any]) -> None:
        self.about = data["about"]
        self.readings = pd.DataFrame(data["readings"])
        self.titles = {"bare": "bare predictor"} | {
            name: server["title"]
            for name, server in self.about["servers"].items()
            if name not in self.about["left_out"]
        }
        self.others = [name for name in self.titles if name not in ("bare", SERVICE)]

    def rounds(self, scenario: str, figure: str, batch: int = 1) -> pd.DataFrame:
        """Return a figure by round (rows) and server (columns); NaN where a server has none."""
        of = self.readings[(self.readings.scenario == scenario) & (self.readings.batch == batch)]
        by_server = of.set_index(["round", "server"]).reindex(columns=[figure])[figure].unstack()
        return by_server.reindex(columns=list(self.titles))

    def medians(self, columns: dict[str, tuple[str, str, int]]) -> pd.DataFrame:
        """Return medians over the rounds by server; `columns` are a heading and what `rounds` takes."""
        return pd.DataFrame({heading: self.rounds(*what).median() for heading, what in columns.items()})

    def speedup(self, batch: int) -> tuple[float, str]:
        """Return how many times as fast as the best other server the service is, and that server; by rounds."""
        times = self.rounds("sequential", "p50_ms", batch)
        ratios = times[self.others].div(times[SERVICE], axis=0).median()
        return float(ratios.min()), self.titles[str(ratios.idxmin())]

    def goodput_share(self) -> "pd.Series[float]":
        """Return goodput under overload as a share of the capacity, by server: the median over the rounds."""
        goodput = self.rounds("overload", "goodput", OVERLOAD_BATCH)
        return (goodput / self.rounds("overload", "capacity", OVERLOAD_BATCH)).median()


def markdown(frame: pd.DataFrame, corner: str = "", align: str = "--:") -> str:
    """Return a frame of texts as a Markdown table, its index first."""
    rows = [[corner, *frame.columns], ["---", *[align] * frame.shape[1]], *map(list, frame.reset_index().to_numpy())]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def number(value: float) -> str:
    """Return a figure with about three digits; a dash where there is none."""
    return (
        "-"
        if pd.isna(value)
        else f"{value:,.0f}"
        if value >= 100
        else f"{value:.1f}"
        if value >= 10
        else f"{value:.2f}"
    )


def figures(results: Results, corner: str, columns: dict[str, tuple[str, str, int]]) -> str:
    """Return a table of medians, a row a server; servers without any figure are left out."""
    medians = results.medians(columns).dropna(how="all")
    return markdown(medians.rename(index=results.titles).map(number), corner)


def aims(results: Results) -> str:
    """Return the table of aims: what was aimed at, what was measured, whether it is met."""
    rows = {}
    for batch, wanted in AIMS.items():
        ratio, other = results.speedup(batch)
        aim = f"{batch:,} network{'s' * (batch > 1)} a request: at least {wanted} times the best other server"
        rows[aim] = f"{ratio:.2f} times {other}", ratio >= wanted
    for scenario, where in (("sequential", "one client"), ("steady", "random arrivals")):
        tails = results.rounds(scenario, "p99_ms").median()
        ours, best = tails[SERVICE], tails[results.others].min()
        aim = f"1 network a request, {where}: p99 no worse than the best other server's"
        rows[aim] = f"{number(ours)} ms, the other {number(best)} ms", ours <= best
    share = results.goodput_share()[SERVICE]
    rows[f"goodput at {OVERLOAD} times the capacity: at least {GOODPUT_AIM:.0%} of it"] = (
        f"{share:.0%}",
        share >= GOODPUT_AIM,
    )
    frame = pd.DataFrame.from_dict(rows, orient="index", columns=["Measured", "Met"])
    return markdown(frame.assign(Met=frame.Met.map({True: "yes", False: "**no**"})), "Aim")


def one_client(results: Results) -> str:
    """Return the table of a single client's times, and the processor time of its requests."""
    columns = {
        f"{batch:,}: {heading}": ("sequential", figure, batch)
        for batch in BATCHES
        for heading, figure in {"p50": "p50_ms", "p99": "p99_ms", "CPU": "cpu_ms"}.items()
    }
    return figures(results, "Milliseconds a request", columns)


def several_clients(results: Results) -> str:
    """Return the table of single-network requests: throughput, and times at equal load."""
    rate = f"{results.rounds('steady', 'rate').max().max():.0f} requests/s"
    columns = {
        f"requests/s of {CONNECTIONS} clients": ("concurrent", "requests_per_second", 1),
        f"p50 at {rate} (ms)": ("steady", "p50_ms", 1),
        f"p99 at {rate} (ms)": ("steady", "p99_ms", 1),
    }
    return figures(results, "Server", columns)


def overload(results: Results) -> str:
    """Return the table of three times the capacity."""
    columns = {
        "capacity (networks/s)": "capacity",
        "goodput (networks/s)": "goodput",
        "rejection p50 (ms)": "rejected_p50_ms",
        "rejection p99 (ms)": "rejected_p99_ms",
    }
    medians = results.medians({heading: ("overload", figure, OVERLOAD_BATCH) for heading, figure in columns.items()})
    frame = medians.drop(index="bare").map(number)
    frame.insert(2, "share", results.goodput_share().map("{:.0%}".format))
    counts = {name: results.rounds("overload", name, OVERLOAD_BATCH).sum().map("{:,.0f}".format) for name in COUNTS}
    return markdown(frame.join(pd.DataFrame(counts)).rename(index=results.titles, columns={"timed_out": "timed out"}))


def settings(results: Results) -> str:
    """Return the table of the servers' settings and versions, and why a server is missing."""
    frame = pd.DataFrame(results.about["servers"]).T.set_index("title")
    frame["versions"] = frame.versions.map(lambda found: ", ".join(f"{name} {one}" for name, one in found.items()))
    missing = [f"\n\n{name} is missing: {reason}." for name, reason in results.about["left_out"].items()]
    frame = frame.rename(columns=str.capitalize)[["Settings", "Versions"]]
    return markdown(frame, "Server", align="---") + "".join(missing)


def page(results: Results) -> str:
    """Return docs/benchmarks.md."""
    about = results.about
    machine, model, load, rounds = about["machine"], about["model"], about["workload"], about["rounds"]
    host = (
        f"{machine['cores']} cores of a shared {machine['processor']}, {machine['system']}, Python {machine['python']}"
    )
    run = f"{about['began']}, {about['minutes']} minutes, load {machine['load_before']} before"
    which = f"`{model['task']}` (`{model['sha256'][:12]}`, {model['epochs']} epochs)"
    networks = f"of {load['layers'][0]} to {load['layers'][1]} layers and {load['mean_bytes']:,} bytes on average"
    quick = "\n- **A quick run, which only shows that all works: do not cite its figures.**" if about["quick"] else ""
    return f"""# Benchmarks

`make bench` installs the other servers (`benchmarks/rivals/install.sh`), measures all of them in one run
(`python -m benchmarks.bench`) and writes this page from the readings (`python -m benchmarks.page`).

- **Machine:** {host} ({run}). Clients and servers share the cores.
- **Model:** {which}. All servers use the same file, encoding and ONNX Runtime, and return the same
  curves, which is checked first. The service's curve cache is off.
- **Requests:** {load["networks"]:,} different networks as layer lists, drawn by the paper's block generator,
  {networks}.
- **Readings:** the servers take turns of seconds and are paused in between. Figures are medians over rounds ({rounds});
  ratios are taken within a round. Trust ratios more than milliseconds.{quick}

## Aims

{aims(results)}

## One client

One connection, one request after the other, with 1, 32 or 1,000 networks. *CPU* is the processor time of all processes
of a server. The *bare predictor* is one call of ONNX Runtime on the padded batch, without a server.

{one_client(results)}

## Several clients

{CONNECTIONS} clients that send as soon as they can; then random arrivals at a rate that every server sustains.

{several_clients(results)}

## Overload

Requests of {OVERLOAD_BATCH} networks. The capacity is what {CONNECTIONS} clients reach. Then {OVERLOAD} times as many
arrive at random, with a deadline of {DEADLINE:g} s (`X-Request-Timeout-Ms`).
*Goodput* counts networks answered within it.

{overload(results)}

## Settings and versions

{settings(results)}
"""


def main() -> None:
    """Write the page."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.page", description=__doc__)
    parser.add_argument("results", type=Path, nargs="?", default=RESULTS, help="default: benchmarks/results.json")
    parser.add_argument("--out", type=Path, default=PAGE, help="default: docs/benchmarks.md")
    options = parser.parse_args()
    options.out.write_text(page(Results(json.loads(options.results.read_text()))))


if __name__ == "__main__":
    main()
