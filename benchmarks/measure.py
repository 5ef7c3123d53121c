"""What is measured: each function takes one reading of one server, or of the bare predictor, and returns figures."""

import asyncio
import json
from collections.abc import Sequence
from time import perf_counter, process_time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.load import Outcome, closed_loop, open_loop, post
from benchmarks.servers import Server
from benchmarks.workload import Workload
from model.runtime import Predictor

BATCHES = (1, 32, 1000)  # networks in a request
CONNECTIONS = 16
DEADLINE = 1.0  # seconds for a response under overload
OVERLOAD_BATCH = 32
OVERLOAD = 3  # times the capacity
Reading = dict[str, float]


def percentiles(seconds: Sequence[float], prefix: str = "") -> Reading:
    """Return median and 99th percentile in milliseconds; nothing when there are no times."""
    return {f"{prefix}p{q}_ms": 1000 * float(np.percentile(seconds, q)) for q in (50, 99) if seconds}


def bare(predictor: Predictor, workload: Workload, batch: int, seconds: float) -> Reading:
    """Time the predictor alone, in this process: one call a batch."""
    epochs = range(1, predictor.card.epochs + 1)
    batches = workload.batches(batch, max(2, min(64, 2000 // batch)))
    taken: list[float] = []
    began, used = perf_counter(), process_time()
    while perf_counter() - began < seconds or len(taken) < 2:
        codes, lengths = batches[len(taken) % len(batches)]
        started = perf_counter()
        predictor.run(codes, lengths, epochs)
        taken.append(perf_counter() - started)
    return percentiles(taken) | {"cpu_ms": 1000 * (process_time() - used) / len(taken)}


async def sequential(server: Server, workload: Workload, batch: int, seconds: float) -> Reading:
    """Time one client that sends a request when the last is answered, on one kept-alive connection."""
    bodies = workload.bodies(batch, max(2, min(2000, 4000 // batch)))
    used = server.cpu_seconds()
    outcome = await closed_loop(server.port, [post(body) for body in bodies], connections=1, seconds=seconds)
    check_answered(outcome)
    cpu_ms = 1000 * (server.cpu_seconds() - used) / len(outcome.answered)
    return percentiles(outcome.answered) | {"cpu_ms": cpu_ms}


async def concurrent(server: Server, workload: Workload, batch: int, seconds: float) -> Reading:
    """Count the requests answered to `CONNECTIONS` clients that each send as soon as they can."""
    requests = [post(body) for body in workload.bodies(batch, max(64, 4000 // batch))]
    outcome = await closed_loop(server.port, requests, connections=CONNECTIONS, seconds=seconds)
    return {"requests_per_second": len(outcome.answered) / outcome.seconds}


async def steady(server: Server, workload: Workload, rate: float, seconds: float) -> Reading:
    """Time single-network requests that arrive at random, at a rate that every server sustains."""
    requests = [post(body) for body in workload.bodies(1, 4000)]
    outcome = await open_loop(server.port, requests, rate=rate, seconds=seconds, timeout=10)
    check_answered(outcome)
    return percentiles(outcome.answered) | {"rate": rate}


async def overloaded(server: Server, workload: Workload, seconds: float) -> Reading:
    """Find the server's capacity, then send three times as many requests a second.

    Requests carry a deadline of `DEADLINE`. Goodput counts the networks answered in that time, from when the request
    was due, as long as the load lasts.
    """
    peak = await concurrent(server, workload, OVERLOAD_BATCH, seconds / 2)
    rate = OVERLOAD * peak["requests_per_second"]
    bodies = workload.bodies(OVERLOAD_BATCH, 128)
    requests = [post(body, round(1000 * DEADLINE)) for body in bodies]
    outcome = await open_loop(server.port, requests, rate=rate, seconds=seconds, timeout=DEADLINE)
    await server.ready(bodies[0])  # once what is still queued was computed
    await asyncio.sleep(seconds / 4)
    return {
        "capacity": peak["requests_per_second"] * OVERLOAD_BATCH,
        "goodput": outcome.during / seconds * OVERLOAD_BATCH,
        **percentiles(outcome.rejected, "rejected_"),
        **outcome.counts,
    }


def check_answered(outcome: Outcome) -> None:
    """Check that every request was answered with 200.

    Raises:
        RuntimeError: when one was not; its time would make the server look better than it is.
    """
    if set(outcome.counts) != {"answered"}:
        raise RuntimeError(f"not every request was answered: {dict(outcome.counts)}")


def accuracies(body: bytes, epochs: int) -> NDArray[Any]:
    """Return the predicted curves [networks, epochs] of any of the servers' responses."""
    parsed = json.loads(body)
    if isinstance(parsed, list):  # BentoML's
        return np.array(parsed)[:, :epochs]
    if "predictions" in parsed:  # Peephole's
        return np.array([one["accuracy"] for one in parsed["predictions"]])
    return np.array(parsed["accuracy"])
