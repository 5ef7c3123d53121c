"""The same application as a Ray Serve deployment, for a cluster that runs Ray: `serve run service.ray_app:app`.

Ray places the replicas, routes to them, replaces those that die or whose health check fails, and drains those it stops.
Needs the `cluster` extra. The settings are those of the process: the environment of the cluster's workers.
"""

import asyncio

import ray
from fastapi import FastAPI
from ray import serve

from service.app import create_app
from service.observability.logging import configure_logging
from service.settings import Settings
from service.state import Service

LOADING_TICK = 0.05


def build_app() -> FastAPI:
    """Return the application of one replica; it uses the cores that Ray assigned to it."""
    settings = Settings()
    if not settings.threads:
        cores = int(ray.get_runtime_context().get_assigned_resources().get("CPU", 1))
        settings = settings.model_copy(update={"threads": max(1, cores)})
    configure_logging(settings.log_level)
    return create_app(settings)


class Replica:
    """One replica of the service."""

    app: FastAPI  # from `serve.ingress`

    async def check_health(self) -> None:
        """Wait for the predictors to be loaded, then return while predictions are served.

        Raises:
            RuntimeError: when they can never be served again; Ray then replaces the replica.
        """
        service: Service = self.app.state.service
        while not service.registry.models and service.failure is None:
            await asyncio.sleep(LOADING_TICK)
        if service.failure is not None:
            raise RuntimeError(service.failure)


deployment = serve.deployment(
    serve.ingress(build_app)(Replica),
    name="peephole",
    num_replicas=2,
    max_ongoing_requests=256,  # the service's own queue limits the work that waits
    ray_actor_options={"num_cpus": 1},
    health_check_period_s=2,
    health_check_timeout_s=30,
    graceful_shutdown_timeout_s=40,
)
app = deployment.bind()
