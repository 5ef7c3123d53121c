"""Prometheus metrics; each application has its own registry, so that several can live in a process."""

from functools import cache

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

SECONDS = (*(0.0005 * 2**k for k in range(11)), 1.0, 2.5, 5.0, 10.0)
POWERS = tuple(float(2**k) for k in range(0, 17))
REASONS = (
    "queue_full",
    "deadline",
    "invalid",
    "unauthorized",
    "too_large",
    "unavailable",
    "engine_error",
)
FIT_STATES = ("queued", "running", "done", "failed")
FIT_AGES = ("queued", "running")


class Metrics:
    """Every metric, with its labels at zero from the start, so that `rate()` sees the first event."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self.requests = Counter(
            "http_requests_total",
            "Requests by route and status class.",
            ["route", "method", "status"],
            registry=registry,
        )
        self.request_seconds = Histogram(
            "http_request_duration_seconds",
            "Time from the request's headers to the end of the response.",
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
            "predictor_encode_seconds", "Rendering a response.", buckets=SECONDS, registry=registry
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
        self.queue_cost = Gauge(
            "predictor_queue_cost", "Padded layers in the queue or in inference.", registry=registry
        )
        self.queue_requests = Gauge("predictor_queue_requests", "Requests with work in the queue.", registry=registry)
        self.proxy_seconds = Histogram(
            "predictor_proxy_seconds", "Computing one network's zero-cost scores.", buckets=SECONDS, registry=registry
        )
        self.proxy_queue = Gauge(
            "predictor_proxy_queue", "Networks whose zero-cost scores wait or are computed.", registry=registry
        )
        self.heartbeat = Gauge(
            "predictor_worker_heartbeat_timestamp_seconds",
            "Last heartbeat of the most silent inference thread.",
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
            "predictor_architectures_total", "Networks predicted, repeats included.", ["task"], registry=registry
        )
        self.batches = Counter("predictor_batches_total", "Calls of a predictor.", ["task"], registry=registry)
        self.inflight = Gauge(
            "predictor_inflight_requests", "POST, PUT and DELETE requests being handled.", registry=registry
        )
        self.rejected = Counter(
            "predictor_rejected_total", "Prediction requests that got an error response.", ["reason"], registry=registry
        )
        for reason in REASONS:
            self.rejected.labels(reason)
        self.input_layers = Histogram(
            "predictor_input_layers", "Layers of a network.", buckets=POWERS, registry=registry
        )
        self.unfamiliar = Counter(
            "predictor_unfamiliar_inputs_total",
            "Networks outside the predictor's training distribution.",
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
            "predictor_provider_fallback", "1 when `auto` fell back from CUDA to the CPU.", registry=registry
        )
        self.reloads = Counter("predictor_reloads_total", "Reloads of artifacts.", ["result"], registry=registry)
        for result in ("ok", "failed"):
            self.reloads.labels(result)
        self.reload_ok = Gauge("predictor_last_reload_ok", "0 when the last reload failed.", registry=registry)
        self.reload_ok.set(1)
        self.ready = Gauge("predictor_ready", "1 while /readyz says so.", registry=registry)
        owned = ["owner", "task"]
        self.observations = Gauge("predictor_observations", "Observations of stored tasks.", owned, registry=registry)
        self.context_tau = Gauge(
            "predictor_context_tau",
            "Kendall's tau of a stored task's networks, each predicted from the others, when last computed here.",
            owned,
            registry=registry,
        )
        self.fitted_at = Gauge(
            "predictor_fitted_timestamp_seconds",
            "When the version that predicts a stored task was published.",
            owned,
            registry=registry,
        )
        self.fit_jobs = Gauge("predictor_fit_jobs", "Background fits by state.", ["state"], registry=registry)
        self.fit_age = Gauge(
            "predictor_fit_age_seconds", "Age of the oldest fit that waits or runs.", ["state"], registry=registry
        )
        for state in FIT_STATES:
            self.fit_jobs.labels(state)
        for state in FIT_AGES:
            self.fit_age.labels(state)
        # `labels` takes microseconds; these children are needed by every request.
        self.requests_of = cache(self.requests.labels)
        self.request_seconds_of = cache(self.request_seconds.labels)
