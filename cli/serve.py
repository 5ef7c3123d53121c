"""`peephole serve`: the HTTP service."""

import os
from typing import Annotated

import typer


def serve(
    host: Annotated[str, typer.Option(envvar="HOST", help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(envvar="PORT", help="Port to listen on.")] = 8000,
) -> None:
    """Start the HTTP service; every other setting is an environment variable (docs/operations.md).

    Example: `PEEPHOLE_MODELS=my-predictor peephole serve --port 8080`
    """
    os.environ |= {"HOST": host, "PORT": str(port)}
    from service.main import main

    raise typer.Exit(main())
