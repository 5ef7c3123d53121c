"""The pictures of docs/benchmarks.md."""

from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib import pyplot as plt

from benchmarks.measure import BATCHES
from benchmarks.results import Results

mpl.use("svg")
mpl.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "peephole", "font.size": 9, "axes.spines.top": False})
OURS, OTHERS = "#c2410c", ["#334155", "#64748b", "#94a3b8", "#cbd5e1"]


def _save(folder: Path, name: str) -> None:
    plt.tight_layout()
    plt.savefig(folder / f"bench-{name}.svg", metadata={"Date": None})
    plt.close()


def draw(results: Results, folder: Path) -> None:
    """Draw throughput, latency at equal load, and goodput under overload."""
    colours = dict(zip(results.servers, [OURS, *OTHERS], strict=False))
    titles = [results.title(name) for name in results.servers]
    shades = [colours[name] for name in results.servers]

    _, axes = plt.subplots(1, 2, figsize=(9, 3), sharey=True)
    for axis, form in zip(axes, ("codes", "layers"), strict=True):
        for index, name in enumerate(["bare", *results.servers]):
            what = {"form": form, "epochs": "curve"}
            rates = [results.median("sequential", name, "per_second", batch=batch, **what) for batch in BATCHES]
            label = "bare predictor" if name == "bare" else results.title(name)
            places = np.arange(len(BATCHES)) + 0.13 * (index - len(results.servers) / 2)
            axis.bar(places, rates, 0.12, label=label, color=colours.get(name, "#15803d"))
        axis.set_xticks(range(len(BATCHES)), [f"{batch:,}" for batch in BATCHES])
        axis.set_xlabel(f"networks in a request, as {'codes' if form == 'codes' else 'layer objects'}")
    axes[0].set_ylabel("networks a second")
    axes[0].legend(frameon=False, fontsize=7)
    _save(folder, "throughput")

    plt.figure(figsize=(6, 2.4))
    for shift, key, alpha in ((-0.2, "p50_ms", 1.0), (0.2, "p99_ms", 0.5)):
        times = [results.pooled("steady", name)[key] for name in results.servers]
        bars = plt.barh(np.arange(len(titles)) + shift, times, 0.36, color=shades, alpha=alpha)
        plt.bar_label(bars, [f"{key[:3]} {time:.1f}" for time in times], padding=2, fontsize=7)
    plt.yticks(range(len(titles)), titles)
    plt.gca().invert_yaxis()
    plt.xscale("log")
    plt.xlabel("milliseconds at equal load")
    _save(folder, "latency")

    plt.figure(figsize=(6, 2.2))
    shares = [100 * results.median("overload", name, "share_of_peak") for name in results.servers]
    plt.bar_label(plt.barh(titles, shares, color=shades), [f"{share:.0f} %" for share in shares], padding=2)
    plt.gca().invert_yaxis()
    plt.xlabel("goodput at three times capacity, % of its peak")
    _save(folder, "overload")
