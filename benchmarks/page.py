"""`python -m benchmarks.page RESULTS`: docs/benchmarks.md and its pictures, from the readings of a run."""

import argparse
import json
from pathlib import Path
from typing import Any

from benchmarks.measure import BATCHES, CONNECTIONS, OVERLOAD_BATCH, PATIENCE, SPLIT
from benchmarks.pictures import draw
from benchmarks.results import Results

ROOT = Path(__file__).parents[1]
NOTES = Path(__file__).parent / "notes.md"
FORM_NAMES = {"codes": "codes", "layers": "layer objects"}


def table(header: list[str], rows: list[list[str]]) -> str:
    """Return a Markdown table; every column but the first is flush right."""
    rule = ["---", *["--:"] * (len(header) - 1)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (header, rule, *rows))


def rate(value: float) -> str:
    """Return a rate with three or so digits."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


def _overhead(results: Results) -> str:
    rows = []
    for epochs in ("curve", "final"):
        for form, form_name in FORM_NAMES.items():
            for batch in BATCHES:
                what = {"form": form, "batch": batch, "epochs": epochs}
                bare = results.median("sequential", "bare", "p50_ms", **what)
                ours = results.median("sequential", "peephole", "p50_ms", **what)
                share = results.ratio("sequential", "peephole", "bare", "per_second", **what)
                cpu = results.ratio("sequential", "peephole", "bare", "cpu_ms", **what)
                over = results.difference("sequential", "peephole", "bare", "p50_ms", **what)
                label = f"{batch:,}, {form_name}, {'whole curve' if epochs == 'curve' else 'final epoch'}"
                cells = [f"{bare:.2f}", f"{ours:.2f}", f"{over:.2f}", rate(1000 * batch / bare)]
                rows.append([label, *cells, rate(1000 * batch / ours), f"{100 * share:.0f} %", f"{cpu:.2f}x"])
    header = [
        "Networks in a request",
        "bare (ms)",
        "service (ms)",
        "more (ms)",
        "bare (1/s)",
        "service (1/s)",
        "share",
        "CPU",
    ]
    return table(header, rows)


def _throughput(results: Results, form: str) -> str:
    columns: list[tuple[str, str, dict[str, object]]] = [
        ("sequential", "per_second", {"form": form, "batch": batch, "epochs": "curve"}) for batch in BATCHES
    ]
    columns.append(("concurrent", "requests_per_second", {"form": form}))
    rows = [
        [results.title(name), *(rate(results.median(scenario, name, key, **what)) for scenario, key, what in columns)]
        for name in results.servers
    ]
    best = [results.to_best_other(scenario, key, **what) for scenario, key, what in columns]
    rows.append(["**Peephole to the best other**", *(f"{least:.2f}x {results.title(name)}" for least, name in best)])
    header = [FORM_NAMES[form].capitalize(), *(f"{batch:,} a request" for batch in BATCHES)]
    return table([*header, f"{CONNECTIONS} connections, 1 a request"], rows)


def _cpu(results: Results) -> str:
    rows = []
    for name in ["bare", *results.servers]:
        cells = []
        for form in FORM_NAMES:
            for batch in BATCHES:
                what = {"form": form, "batch": batch, "epochs": "curve"}
                cells.append(f"{results.median('sequential', name, 'cpu_ms', **what) / batch:.2f}")
        rows.append(["bare predictor" if name == "bare" else results.title(name), *cells])
    header = [f"{batch:,} as {name}" for name in FORM_NAMES.values() for batch in BATCHES]
    return table(["CPU ms a network", *header], rows)


def _latency(results: Results) -> str:
    rows = []
    for name in results.servers:
        alone = [
            results.median("sequential", name, k, form="codes", batch=1, epochs="curve") for k in ("p50_ms", "p99_ms")
        ]
        steady = results.pooled("steady", name)
        cells = [f"{v:.2f}" for v in (*alone, steady["p50_ms"], steady["p90_ms"], steady["p99_ms"])]
        rows.append([results.title(name), *cells])
    requests = results.median("steady", results.servers[0], "rate")
    loaded = [f"{p} at {requests:.0f}/s" for p in ("p50", "p90", "p99")]
    return table(["Milliseconds", "p50 alone", "p99 alone", *loaded], rows)


def _overload(results: Results) -> str:
    rows = []
    for name in results.servers:
        capacity = results.median("capacity", name, "per_second")
        goodput = results.median("overload", name, "goodput_per_second")
        share = results.median("overload", name, "share_of_peak")
        refused = results.pooled("refused", name)
        quick = [f"{refused[k]:.1f}" for k in ("p50_ms", "p99_ms")] if refused else ["none", "none"]
        statuses = results.statuses("overload", name)
        seen = ", ".join(f"{count} x {status}" for status, count in sorted(statuses.items()))
        rows.append([results.title(name), rate(capacity), rate(goodput), f"{100 * share:.0f} %", *quick, seen])
    header = ["", "capacity (1/s)", "goodput at 3x (1/s)", "share", "refusal p50 (ms)", "refusal p99 (ms)", "answers"]
    return table(header, rows)


def _free_service(results: Results, form: str, batch: int) -> float:
    """Return how many times the best other server's rate would be reached by HTTP and the bare predictor alone.

    Validation, batching, the queue and the writing of answers are left out.
    """
    what = {"form": form, "batch": batch, "epochs": "curve"}
    _, other = results.to_best_other("sequential", "per_second", **what)
    best = results.median("sequential", other, "per_second", **what)
    bare = results.median("sequential", "bare", "per_second", **what)
    if batch > 1:
        bare = max(bare, results.median("split", "bare", "per_second", batch=batch))
    http = results.median("sequential", "echo", "per_second", **what)
    return 1 / (1 / bare + 1 / http) / best


def _aims(results: Results) -> str:
    def line(aim: str, got: str, *, met: bool) -> list[str]:
        return [aim, got, "met" if met else "**missed**"]

    rows = []
    for form, wanted in (("layers", 0.8), ("codes", 0.9)):
        share = results.ratio("sequential", "peephole", "bare", "per_second", form=form, batch=1000, epochs="curve")
        aim = f"1,000 as {FORM_NAMES[form]}: at least {100 * wanted:.0f} % of the bare rate"
        rows.append(line(aim, f"{100 * share:.0f} %", met=share >= wanted))
    for form, form_name in FORM_NAMES.items():
        over = results.difference("sequential", "peephole", "bare", "p50_ms", form=form, batch=1, epochs="curve")
        rows.append(line(f"one as {form_name}: at most 0.8 ms more", f"{over:.2f} ms", met=over <= 0.8))
    for form, form_name in FORM_NAMES.items():
        for batch in BATCHES:
            what = {"form": form, "batch": batch, "epochs": "curve"}
            least, _ = results.to_best_other("sequential", "per_second", **what)
            aim = f"{batch:,} as {form_name}: twice the best other server"
            got = f"{least:.2f}x" if least >= 2 else f"{least:.2f}x (free: {_free_service(results, form, batch):.2f}x)"
            rows.append(line(aim, got, met=least >= 2))
    tails = {name: results.pooled("steady", name)["p99_ms"] for name in results.servers}
    least = min(tail for name, tail in tails.items() if name != "peephole")
    got = f"{tails['peephole']:.1f} ms against {least:.1f} ms"
    rows.append(line("lower p99 at equal load", got, met=tails["peephole"] < least))
    share = results.median("overload", "peephole", "share_of_peak")
    rows.append(line("goodput at 3x capacity: 90 % of its peak", f"{100 * share:.0f} %", met=share >= 0.9))
    refused = results.pooled("refused", "peephole")
    got = f"p50 {refused['p50_ms']:.1f} ms, p99 {refused['p99_ms']:.1f} ms" if refused else "none refused"
    rows.append(line("refusals within 10 ms", got, met=bool(refused) and refused["p99_ms"] <= 10))
    return table(["Aim", "Measured", ""], rows)


def _settings(results: Results) -> str:
    rows = []
    for server in results.data["servers"].values():
        versions = ", ".join(f"{name} {version}" for name, version in server["versions"].items())
        rows.append([server["title"], server["settings"], versions])
    left_out = [f"\n{name} is missing: {reason}." for name, reason in results.data["left_out"].items()]
    return table(["Server", "Settings", "Versions"], rows).replace("--:", "---") + "".join(left_out)


def _cores(count: int) -> str:
    return "one core" if count == 1 else f"{count} cores"


def page(results: Results, source: str) -> str:
    """Return the page as Markdown."""
    data = results.data
    machine, model, load = data["machine"], data["model"], data["workload"]
    rounds = 1 + max(r["round"] for r in data["readings"] if r["scenario"] == "sequential")
    thousand = {"form": "codes", "batch": BATCHES[-1], "epochs": "curve"}
    split = results.median("split", "bare", "per_second", batch=BATCHES[-1]) / results.median(
        "sequential", "bare", "per_second", **thousand
    )
    return f"""# Benchmarks

Made by `make bench`, which installs the other servers (`benchmarks/rivals/install.sh`), measures everything in one
run (`python -m benchmarks.bench`) and writes this page (`python -m benchmarks.page`) from
[{Path(source).name}](../{source}). Trust the ratios more than the figures: this run was on
{machine["cores"]} cores of a shared {machine["processor"]} ({machine["system"]}, Python {machine["python"]}), on which
the load was {machine["load_before"]} before it began; clients and servers share the cores.

- **Model:** the shipped predictor of `{model["task"]}`, `{model["sha256"][:12]}`, {model["epochs"]} epochs, on
  {_cores(data["cores"])}. What each server makes of {"it" if data["cores"] == 1 else "them"} is among its settings
  below; the bare predictor is called with one thread and with all, and the faster counts. The other servers load the
  same file through the same `model.runtime.Predictor`, and encode layer objects with the same `model.encoding`. All
  servers' answers are compared with the bare predictor's before anything is timed.
- **Requests:** {load["networks"]:,} different networks that the paper's block generator drew, {load["layers"][0]} to
  {load["layers"][1]} layers, {load["mean_layers"]} on average; as codes {load["bytes"]["codes"]:,} bytes each, as layer
  objects {load["bytes"]["layers"]:,}. The service's cache of curves is off, so that no answer is remembered. What it
  does learn is the meaning of single layers, as it would in any search.
- **Turns:** the servers take turns in readings of a second or so, {rounds} rounds, and stand still in between
  (SIGSTOP): some are busy when nobody asks them anything. Figures are medians over the rounds; ratios between servers
  are taken within a round. The load generator (`benchmarks/load.py`) is one process for all.

## Aims

{_aims(results)}

"Free" is what a service would reach whose only costs were HTTP (uvicorn, an application that sends the body back) and
the predictor, in the kindest batches: reading, checking, queueing and writing left out (reckoned from medians).

## The service and the bare predictor

One client, one kept-alive connection, against `Predictor.run` in the client's own process on the same padded batch.
"CPU" is the processor time that the service's process used for a request, HTTP and all, to that of the bare call; it
is the steadier figure on a machine that others use.
The service sorts large requests by length and splits them, which spares padding, suits the processor's cache and gives
every core a part; done by hand, in calls of {SPLIT} networks, that makes the bare predictor {split:.2f} times as fast
for 1,000.

{_overhead(results)}

## The service and other servers

Networks predicted a second (whole curves); in the last column requests of one network, from {CONNECTIONS} connections.

{_throughput(results, "codes")}

{_throughput(results, "layers")}

![Networks a second](pictures/bench-throughput.svg)

Processor time of all of a server's processes, in milliseconds a network:

{_cpu(results)}

Requests of one network: a lone client, then Poisson arrivals at a rate that every server can bear, timed from when each
was due.

{_latency(results)}

![Latency at equal load](pictures/bench-latency.svg)

## Three times too much

Requests of {OVERLOAD_BATCH} networks as codes, arriving at random at three times the rate that the server reached with
{CONNECTIONS} busy connections. Callers wait {PATIENCE:g} s from when the request was due, say so in
`X-Request-Timeout-Ms`, and then hang up ("timeout"). Goodput counts the networks answered in time.

{_overload(results)}

![Goodput under overload](pictures/bench-overload.svg)

## Versions and settings

{_settings(results)}

{NOTES.read_text() if NOTES.exists() else ""}"""


def main() -> None:
    """Write the page and its pictures."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.page", description=__doc__)
    newest = sorted((ROOT / "benchmarks" / "results").glob("*.json"))[-1:]
    parser.add_argument("results", type=Path, nargs="?", default=newest[0] if newest else None)
    parser.add_argument("--docs", type=Path, default=ROOT / "docs")
    options = parser.parse_args()
    if options.results is None:
        parser.error("there are no results yet; run `python -m benchmarks.bench` first")
    data: dict[str, Any] = json.loads(options.results.read_text())
    results = Results(data)
    source = options.results.resolve()
    name = str(source.relative_to(ROOT)) if source.is_relative_to(ROOT) else source.name
    (options.docs / "pictures").mkdir(parents=True, exist_ok=True)
    (options.docs / "benchmarks.md").write_text(page(results, name).rstrip() + "\n")
    draw(results, options.docs / "pictures")


if __name__ == "__main__":
    main()
