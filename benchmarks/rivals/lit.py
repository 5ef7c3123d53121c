"""LitServe with its batching and its ZeroMQ queue."""

from typing import Any

import litserve

from benchmarks.rivals.predicting import CORES, PORT, Codes, CurvePredictor, document

Batch = tuple[list[Codes], list[int]]


class Api(litserve.LitAPI):
    """Requests of several networks, joined into one call."""

    def setup(self, device: str) -> None:  # noqa: ARG002 - LitServe's signature
        """Load the predictor."""
        self.curves = CurvePredictor(threads=CORES)

    def decode_request(self, request: dict[str, Any]) -> list[Codes]:
        """Return a request's networks."""
        return self.curves.read(request["architectures"])

    def batch(self, inputs: list[list[Codes]]) -> Batch:
        """Join requests; remember how many networks each has."""
        return [codes for request in inputs for codes in request], [len(request) for request in inputs]

    def predict(self, x: Batch) -> list[dict[str, Any]]:
        """Predict all networks and give each request its own."""
        networks, sizes = x
        curves = self.curves.run(networks)
        answers, start = [], 0
        for size in sizes:
            answers.append(document(curves, start, start + size))
            start += size
        return answers

    def unbatch(self, output: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Return one answer a request."""
        return output

    def encode_response(self, output: dict[str, Any]) -> dict[str, Any]:
        """Return the answer as it is."""
        return output


if __name__ == "__main__":
    server = litserve.LitServer(
        Api(max_batch_size=32, batch_timeout=0.001), accelerator="cpu", devices=1, workers_per_device=1, fast_queue=True
    )
    server.run(host="127.0.0.1", port=PORT, num_api_servers=1, generate_client_file=False, log_level="warning")
