"""What the routes share: settings, predictors, the engine, metrics. One object an application; no globals."""

from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Depends, Request

from service.engine import Engine
from service.metrics import Metrics
from service.models import Model
from service.settings import Settings


@dataclass(slots=True)
class Service:
    """The state of one running application."""

    settings: Settings
    metrics: Metrics
    threads: int
    models: dict[str, Model] = field(default_factory=dict)
    engine: Engine = field(default_factory=Engine)

    def reasons(self) -> list[str]:
        """Return why the service is not ready; nothing when it is."""
        return [] if self.models else ["loading"]


def _service(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


ServiceDep = Annotated[Service, Depends(_service)]
