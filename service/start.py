"""What is looked at before the service starts: its settings, who may reach it, where its predictors come from."""

import sys
from ipaddress import ip_address

from pydantic import ValidationError

from model.artifact import ArtifactError
from service.app import create_app
from service.loading import check
from service.logs import configure, log
from service.server import Server
from service.settings import Settings, misspelt

USAGE = 2
SWITCH_SECONDS = 0.0005


def is_public(host: str) -> bool:
    """Whether others than this machine can reach the address."""
    try:
        return not ip_address(host).is_loopback
    except ValueError:
        return host != "localhost"


def _refuse(line: str) -> int:
    print(f"peephole: {line}", file=sys.stderr)
    return USAGE


def main() -> int:
    """Serve until told to stop; return the process's exit code."""
    try:
        settings = Settings()
    except ValidationError as error:
        fault = error.errors(include_input=False)[0]
        name = "_".join(str(part) for part in fault["loc"][:1]).upper()
        return _refuse(f"setting {name if name in {'HOST', 'PORT'} else 'PEEPHOLE_' + name}: {fault['msg']}")
    try:
        has_keys = bool(settings.keys())
    except OSError as error:
        return _refuse(f"setting PEEPHOLE_API_KEYS_FILE: {error.strerror}")
    except ValueError as error:
        return _refuse(f"setting {error}")
    if is_public(settings.host) and not has_keys and not settings.public_without_key:
        return _refuse(
            f"HOST {settings.host} is public and no key is set: set PEEPHOLE_API_KEYS, or "
            "PEEPHOLE_PUBLIC_WITHOUT_KEY=true to let everybody in"
        )
    try:
        check(settings)
    except OSError as error:
        return _refuse(f"setting PEEPHOLE_MODELS: {error.filename}: {error.strerror}")
    except ArtifactError as error:
        return _refuse(str(error))
    configure(settings.log_level)
    for name, meant in misspelt().items():
        log.warning("unknown_setting", name=name, did_you_mean=meant)
    sys.setswitchinterval(
        SWITCH_SECONDS
    )  # so that reading a large body delays the event loop by less than a millisecond
    log.info("starting", host=settings.host, port=settings.port)
    return Server(create_app(settings)).run_to_exit()
