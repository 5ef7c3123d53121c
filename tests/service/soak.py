"""`python -m tests.service.soak`: mixed load for minutes; memory and descriptors stay flat, no request fails."""

import argparse
import random
import statistics
import sys
import threading
import time
from collections import Counter

import httpx2

from tests.service.live import Live, running

KINDS = [
    {"type": "relu"},
    {"type": "batch_norm"},
    {"type": "tanh"},
    {"type": "max_pool", "kernel_size": 2, "stride": 1},
]


def network(rng: random.Random) -> dict[str, object]:
    conv = {"type": "conv", "kernel_size": rng.randint(1, 5), "out_channels": rng.choice([16, 24, 32])}
    return {"layers": [conv, *rng.choices(KINDS, k=rng.randint(1, 40)), {"type": "dropout", "p": rng.random() * 0.9}]}


def client(live: Live, task: str, seed: int, until: float, outcomes: Counter[str]) -> None:
    """Send requests of mixed sizes; now and then an invalid one, or hang up before the response."""
    rng = random.Random(seed)
    with httpx2.Client(base_url=live.url, timeout=60) as http:
        while time.monotonic() < until:
            size = rng.choice([1, 1, 1, 5, 50, 300])
            body: dict[str, object] = {"task": task, "architectures": [network(rng) for _ in range(size)]}
            timeout = 60.0
            if rng.random() < 0.1:
                body["epochs"] = "all"
            elif rng.random() < 0.05:
                timeout = 0.01
            try:
                outcomes[str(http.post("/predict", json=body, timeout=timeout).status_code)] += 1
            except httpx2.TimeoutException:
                outcomes["hung up"] += 1


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--clients", type=int, default=6)
    parser.add_argument("--growth-mib", type=float, default=16, help="most that memory may grow by after a warm-up")
    arguments = parser.parse_args()
    outcomes: Counter[str] = Counter()
    with running(None, PEEPHOLE_SHIPPED="true", PEEPHOLE_LOG_LEVEL="error", PEEPHOLE_CACHE_ENTRIES="2000") as live:
        task = next(iter(httpx2.get(live.url + "/info").json()["tasks"]))
        until = time.monotonic() + 60 * arguments.minutes
        threads = [
            threading.Thread(target=client, args=(live, task, seed, until, outcomes))
            for seed in range(arguments.clients)
        ]
        for thread in threads:
            thread.start()
        samples = []
        while time.monotonic() < until:
            time.sleep(max(1.0, arguments.minutes / 2))
            samples.append((live.rss_kib() / 1024, live.descriptors()))
        for thread in threads:
            thread.join()
    third = len(samples) // 3
    memory = [statistics.median(rss for rss, _ in part) for part in (samples[third : 2 * third], samples[-third:])]
    descriptors = [max(fds for _, fds in part) for part in (samples[third : 2 * third], samples[-third:])]
    print(f"responses: {dict(outcomes)}")
    print(f"memory (MiB, median): second third {memory[0]:.1f}, last third {memory[1]:.1f}")
    print(f"descriptors (most): second third {descriptors[0]}, last third {descriptors[1]}")
    bad = [status for status in outcomes if status.startswith("5")]
    grew = memory[1] - memory[0] > arguments.growth_mib or descriptors[1] > descriptors[0] + 4
    return 1 if bad or grew else 0


if __name__ == "__main__":
    sys.exit(main())
