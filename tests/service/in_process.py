"""An application in the tests' own process."""

from collections.abc import Iterator
from contextlib import contextmanager
from time import sleep
from typing import Any

from starlette.testclient import TestClient

from service.app import create_app
from service.settings import Settings


@contextmanager
def serving(*, wait: bool = True, raise_server_exceptions: bool = True, **settings: Any) -> Iterator[TestClient]:
    """Start an application with the settings given, by default on one thread and without what ships.

    Wait until it is ready, or never will be.
    """
    app = create_app(Settings(**{"shipped": False, "threads": 1, **settings}))
    with TestClient(app, raise_server_exceptions=raise_server_exceptions) as client:
        while wait and client.get("/readyz").status_code != 200 and client.get("/livez").status_code == 200:
            sleep(0.01)
        yield client
