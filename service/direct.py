"""The way to an endpoint of hot requests that do not take the express: no router, no dependencies, no exit stacks."""

from collections.abc import Awaitable, Callable

from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from service.problems import Problem, on_problem
from service.service import Service
from service.tracing import name_span

Endpoint = Callable[[Request, Service], Awaitable[Response]]


class Direct:
    """An endpoint as an ASGI application.

    The router has the same route, which documents it, and serves it where the application is mounted below a prefix.
    """

    def __init__(self, route: APIRoute, endpoint: Endpoint, service: Service) -> None:
        self.route = route
        self.endpoint = endpoint
        self.service = service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; the edge deals with any other exception than a problem."""
        scope["route"] = self.route
        name_span(scope["method"], self.route.path)
        request = Request(scope, receive)
        try:
            response = await self.endpoint(request, self.service)
        except Problem as problem:
            response = await on_problem(request, problem)
        await response(scope, receive, send)
