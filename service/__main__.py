"""`python -m service`: start the service on HOST and PORT."""

import sys

import uvicorn
from pydantic import ValidationError

from service.app import create_app
from service.logs import configure, log
from service.settings import Settings


def main() -> int:
    """Serve until told to stop; return the process's exit code."""
    try:
        settings = Settings()
    except ValidationError as error:
        for fault in error.errors(include_input=False):
            name = "_".join(str(part) for part in fault["loc"]).upper()
            print(f"setting {name}: {fault['msg']}", file=sys.stderr)
        return 2
    configure(settings.log_level)
    config = uvicorn.Config(
        create_app(settings),
        host=settings.host,
        port=settings.port,
        loop="uvloop",
        http="httptools",
        ws="none",
        access_log=False,
        log_config=None,
        server_header=False,
        timeout_keep_alive=65,
        timeout_graceful_shutdown=30,
    )
    log.info("starting", host=settings.host, port=settings.port)
    uvicorn.Server(config).run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
