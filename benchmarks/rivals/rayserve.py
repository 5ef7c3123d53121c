"""Ray Serve with `serve.batch` and its flags for throughput."""

import logging
import signal
from threading import Event
from typing import Any

import ray
from ray import serve
from ray.serve.config import HTTPOptions
from ray.serve.schema import LoggingConfig
from starlette.requests import Request
from starlette.responses import JSONResponse

from benchmarks.rivals.predicting import CORES, PORT, Codes, CurvePredictor, document


@serve.deployment(
    num_replicas=CORES,
    max_ongoing_requests=16,
    max_queued_requests=16,
    ray_actor_options={"num_cpus": 1},
    logging_config=LoggingConfig(enable_access_log=False, log_level=logging.WARNING),
)
class Peephole:
    """The predictor as a deployment."""

    def __init__(self) -> None:
        self.curves = CurvePredictor()

    @serve.batch(max_batch_size=32, batch_wait_timeout_s=0.0)
    async def predict(self, requests: list[list[Codes]]) -> list[dict[str, Any]]:
        """Predict the networks of several requests in one call."""
        curves = self.curves.run([codes for request in requests for codes in request])
        answers, start = [], 0
        for request in requests:
            answers.append(document(curves, start, start + len(request)))
            start += len(request)
        return answers

    async def __call__(self, request: Request) -> JSONResponse:
        """Answer a request."""
        body = await request.json()
        return JSONResponse(await self.predict(self.curves.read(body["architectures"])))


if __name__ == "__main__":
    stop = Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    ray.init("local", num_cpus=max(2, CORES), include_dashboard=False, log_to_driver=False)
    serve.start(http_options=HTTPOptions(host="127.0.0.1", port=PORT))
    serve.run(Peephole.bind(), route_prefix="/predict")
    stop.wait()
    serve.shutdown()
    ray.shutdown()
