"""What is measured: each function takes one reading of one server, or of the bare predictor, and returns figures."""

import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from math import ceil
from time import perf_counter, process_time
from typing import Any

import numpy as np

from benchmarks.load import Outcome, closed_loop, open_loop, post
from benchmarks.workload import Form, Workload
from model.encoding.layer_code import pad
from model.runtime import Predictor

BATCHES = (1, 32, 1000)
CONNECTIONS = 16
PATIENCE = 1.0
OVERLOAD_BATCH = 32
OVERLOAD = 3
SPLIT = 64


@dataclass(frozen=True, slots=True)
class Pace:
    """How long a reading takes, in seconds, how often all are taken, and minutes for those rounds at most."""

    sequential: float
    concurrent: float
    steady: float
    overload: float
    rounds: int
    overload_rounds: int
    minutes: float


PACE = Pace(sequential=0.6, concurrent=1.0, steady=3.0, overload=3.0, rounds=5, overload_rounds=3, minutes=7)
QUICK = Pace(sequential=0.2, concurrent=0.3, steady=0.5, overload=1.0, rounds=1, overload_rounds=1, minutes=2)
Reading = dict[str, Any]


def _times(seconds: Sequence[float], batch: int) -> Reading:
    found = np.array(seconds)
    return {
        "requests": len(found),
        "p50_ms": 1000 * float(np.median(found)),
        "p99_ms": 1000 * float(np.percentile(found, 99)),
        "per_second": batch / float(np.median(found)),
    }


def bare(predictor: Predictor, workload: Workload, batch: int, seconds: float, *, final_only: bool = False) -> Reading:
    """Time the predictor alone, in this process: one call a batch."""
    epochs = [predictor.card.epochs] if final_only else list(range(1, predictor.card.epochs + 1))
    batches = workload.batches(batch, max(2, min(64, 2000 // batch)))
    taken: list[float] = []
    began, used = perf_counter(), process_time()
    while perf_counter() - began < seconds or len(taken) < 2:
        codes, lengths = batches[len(taken) % len(batches)]
        started = perf_counter()
        predictor.run(codes, lengths, epochs)
        taken.append(perf_counter() - started)
    return _times(taken, batch) | {"cpu_ms": 1000 * (process_time() - used) / len(taken)}


def bare_split(predictor: Predictor, workload: Workload, batch: int, seconds: float, *, cores: int) -> Reading:
    """Time the predictor alone on batches sorted by length and split, which is kinder to caches, on threads of ours."""
    epochs = list(range(1, predictor.card.epochs + 1))
    size = min(SPLIT, ceil(batch / cores))
    taken: list[float] = []
    began = perf_counter()
    with ThreadPoolExecutor(cores) as threads:
        while perf_counter() - began < seconds or not taken:
            networks = sorted((network.codes for network in workload.take(batch)), key=len)
            parts = [pad(networks[start : start + size]) for start in range(0, batch, size)]
            started = perf_counter()
            list(threads.map(lambda part: predictor.run(*part, epochs), parts))
            taken.append(perf_counter() - started)
    return _times(taken, batch)


async def sequential(
    port: int, workload: Workload, form: Form, batch: int, seconds: float, *, final_only: bool = False
) -> Reading:
    """Time one client that sends a request when the last is answered, on one kept-alive connection."""
    bodies = workload.bodies(form, batch, max(2, min(2000, 4000 // batch)), final_only=final_only)
    outcome = await closed_loop(port, [post(body) for body in bodies], connections=1, seconds=seconds)
    return _checked(outcome) | _times(outcome.good, batch)


async def concurrent(port: int, workload: Workload, form: Form, batch: int, seconds: float) -> Reading:
    """Count the requests answered to `CONNECTIONS` clients that each send as soon as they can."""
    bodies = workload.bodies(form, batch, max(64, 4000 // batch))
    outcome = await closed_loop(port, [post(body) for body in bodies], connections=CONNECTIONS, seconds=seconds)
    good = len(outcome.good) / outcome.seconds
    return {
        **_times(outcome.good, batch),
        "requests_per_second": good,
        "per_second": good * batch,
        "statuses": dict(outcome.statuses),
    }


async def steady(port: int, workload: Workload, form: Form, rate: float, seconds: float) -> tuple[Reading, list[float]]:
    """Time single requests that arrive at random at a rate every server can bear; also return the latencies."""
    requests = [post(body) for body in workload.bodies(form, 1, 4000)]
    outcome = await open_loop(port, requests, rate=rate, seconds=seconds, patience=10)
    return _checked(outcome) | {**_times(outcome.good, 1), "rate": rate}, outcome.good


async def overloaded(
    port: int, workload: Workload, form: Form, batch: int, capacity: float, seconds: float
) -> tuple[Reading, list[float]]:
    """Send three times the requests a second that the server can answer; callers wait for `PATIENCE` and hang up.

    Goodput counts the networks answered in time, timed from when the request was due. Also return the seconds to each
    refusal.
    """
    requests = [post(body, round(1000 * PATIENCE)) for body in workload.bodies(form, batch, max(64, 4000 // batch))]
    rate = OVERLOAD * capacity / batch
    outcome = await open_loop(port, requests, rate=rate, seconds=seconds, patience=PATIENCE)
    refused = np.array(outcome.rejected) * 1000
    reading = {
        "offered_per_second": rate * batch,
        "goodput_per_second": len(outcome.good) * batch / seconds,
        "good_p50_ms": outcome.percentile(50),
        "good_p99_ms": outcome.percentile(99),
        "refused_p50_ms": float(np.median(refused)) if len(refused) else None,
        "refused_p99_ms": float(np.percentile(refused, 99)) if len(refused) else None,
        "statuses": dict(outcome.statuses),
    }
    return reading, outcome.rejected


def _checked(outcome: Outcome) -> Reading:
    """Return nothing to add when every request was answered.

    Raises:
        RuntimeError: when one was not; its time would flatter.
    """
    if set(outcome.statuses) != {"200"}:
        raise RuntimeError(f"answers were not all 200: {dict(outcome.statuses)}")
    return {}


def accuracies(answer: bytes, epochs: int) -> np.ndarray[Any, Any]:
    """Return the predicted curves [networks, epochs] of any of the servers' answers."""
    parsed = json.loads(answer)
    if isinstance(parsed, list):
        return np.array(parsed)[:, :epochs]
    if "predictions" in parsed:
        return np.array([one["accuracy"] for one in parsed["predictions"]])
    return np.array(parsed["accuracy"])
