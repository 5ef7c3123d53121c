"""Prometheus metrics; each application has its own registry, so that several can live in a process."""

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from functools import cache
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import HistogramMetricFamily
from prometheus_client.registry import Collector

from model.artifact import Card

SECONDS = (*(0.0005 * 2**k for k in range(11)), 1.0, 2.5, 5.0, 10.0)
POWERS = tuple(float(2**k) for k in range(0, 17))
REASONS = (
    "queue_full",
    "deadline",
    "client_gone",
    "invalid",
    "unauthorized",
    "too_large",
    "unavailable",
    "engine_error",
)


class Sizes(Collector):
    """A histogram that takes a whole population at once: `Histogram.observe` takes milliseconds for a thousand."""

    def __init__(self, name: str, documentation: str, *, registry: CollectorRegistry) -> None:
        self._name = name
        self._documentation = documentation
        self._counts = [0] * (len(POWERS) + 1)
        self._sum = 0
        registry.register(self)

    def observe(self, sizes: Iterable[int]) -> None:
        """Count sizes."""
        for size in sizes:
            self._counts[bisect_left(POWERS, size)] += 1
            self._sum += size

    def collect(self) -> Iterator[HistogramMetricFamily]:
        """Return the histogram as it is now."""
        bounds = [*map(str, POWERS), "+Inf"]
        buckets = list(zip(bounds, accumulate(self._counts), strict=True))
        yield HistogramMetricFamily(self._name, self._documentation, buckets=buckets, sum_value=self._sum)


class Metrics:
    """Every metric, with its labels at zero from the start, so that `rate()` sees the first event."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self.requests = Counter(
            "http_requests_total", "Requests answered.", ["route", "method", "status"], registry=registry
        )
        self.request_seconds = Histogram(
            "http_request_duration_seconds",
            "Time from the request's first byte to the answer's last.",
            ["route", "method"],
            buckets=SECONDS,
            registry=registry,
        )
        self.validate_seconds = Histogram(
            "predictor_validate_seconds", "Reading and validating a request.", buckets=SECONDS, registry=registry
        )
        self.queue_seconds = Histogram(
            "predictor_queue_wait_seconds", "From admission to the first batch.", buckets=SECONDS, registry=registry
        )
        self.inference_seconds = Histogram(
            "predictor_inference_seconds", "One call of the predictor.", ["task"], buckets=SECONDS, registry=registry
        )
        self.encode_seconds = Histogram(
            "predictor_encode_seconds", "Writing an answer.", buckets=SECONDS, registry=registry
        )
        self.batch_architectures = Histogram(
            "predictor_batch_architectures", "Networks in a batch.", buckets=POWERS, registry=registry
        )
        self.batch_cost = Histogram(
            "predictor_batch_cost", "Padded layers of a batch.", buckets=POWERS, registry=registry
        )
        self.batch_padding = Histogram(
            "predictor_batch_padding_ratio",
            "Share of a batch that is padding.",
            buckets=[k / 10 for k in range(11)],
            registry=registry,
        )
        self.queue_cost = Gauge("predictor_queue_cost", "Padded layers admitted and not done.", registry=registry)
        self.queue_requests = Gauge("predictor_queue_requests", "Requests with work waiting.", registry=registry)
        self.heartbeat = Gauge(
            "predictor_worker_heartbeat_timestamp_seconds",
            "When the most silent thread was heard of.",
            registry=registry,
        )
        self.cache = Counter(
            "predictor_cache_requests_total",
            "Networks looked up; repeats within a request are hits.",
            ["result"],
            registry=registry,
        )
        self.cache_hits, self.cache_misses = (self.cache.labels(result) for result in ("hit", "miss"))
        self.architectures = Counter(
            "predictor_architectures_total", "Networks answered, repeats included.", ["task"], registry=registry
        )
        self.batches = Counter("predictor_batches_total", "Calls of a predictor.", ["task"], registry=registry)
        self.inflight = Gauge("predictor_inflight_requests", "Predictions being answered.", registry=registry)
        self.rejected = Counter(
            "predictor_rejected_total", "Prediction requests not answered with curves.", ["reason"], registry=registry
        )
        for reason in REASONS:
            self.rejected.labels(reason)
        self.input_layers = Sizes(
            "predictor_input_layers", "Layers of a network that was asked about.", registry=registry
        )
        self.unfamiliar = Counter(
            "predictor_unfamiliar_inputs_total",
            "Networks unlike those the predictor was fitted to.",
            ["task"],
            registry=registry,
        )
        self.model_info = Gauge(
            "predictor_model_info",
            "1 for each loaded predictor.",
            ["task", "version", "sha256", "provider", "onnxruntime"],
            registry=registry,
        )
        self.fallback = Gauge(
            "predictor_provider_fallback", "1 when the GPU was wanted and the CPU is used.", registry=registry
        )
        self.reloads = Counter("predictor_reloads_total", "Reloads of artifacts.", ["result"], registry=registry)
        for result in ("ok", "failed"):
            self.reloads.labels(result)
        self.reload_ok = Gauge("predictor_last_reload_ok", "0 when the last reload failed.", registry=registry)
        self.reload_ok.set(1)
        self.ready = Gauge("predictor_ready", "1 while /readyz says so.", registry=registry)
        # Every request asks for these children, and prometheus_client takes microseconds to find one.
        self.requests_of = cache(self.requests.labels)
        self.request_seconds_of = cache(self.request_seconds.labels)
        self.inference_seconds_of = cache(self.inference_seconds.labels)
        self.batches_of = cache(self.batches.labels)
        self.architectures_of = cache(self.architectures.labels)
        self.unfamiliar_of = cache(self.unfamiliar.labels)

    def count(self, card: Card, layers: Iterable[int], distance: NDArray[np.floating]) -> None:
        """Count the networks of an answer: the layers of each, and which are unlike those that were learnt from."""
        self.architectures_of(card.task).inc(len(distance))
        self.input_layers.observe(layers)
        self.unfamiliar_of(card.task).inc(int((distance > card.distance_threshold).sum()))
