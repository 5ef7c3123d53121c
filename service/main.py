"""Start the service: read the settings, check what can be checked at once, serve until a signal."""

import gc
import os
import sys
from ipaddress import ip_address

import structlog

from service.app import create_app
from service.inference.registry import check_sources
from service.observability.logging import configure_logging, flush_logs
from service.server import Server
from service.settings import Settings, from_environment, misspelt
from store import DatabaseUrlError, read_url

USAGE = 2
GARBAGE_THRESHOLD = 100_000  # new objects between two collections; a request of 1,000 networks makes as many
KEPT_BYTES = 31 * 1024 * 1024  # 32 MiB is the most that glibc adjusts itself to
log = structlog.get_logger("peephole")


def main() -> int:
    """Serve until a signal; return the process's exit code: 0, 1 if the port is taken, 2 usage, 70 a failed service."""
    try:
        settings = read_settings()
    except ValueError as error:
        print(f"peephole: {error}", file=sys.stderr)
        return USAGE
    configure_logging(settings.log_level)
    for name, meant in misspelt().items():
        log.warning("unknown_setting", name=name, did_you_mean=meant)
    server = Server(create_app(settings))
    tune_memory()
    code = server.serve_until_exit()
    if not flush_logs():
        os._exit(code)  # an ordinary exit would wait for the log's reader
    return code


def tune_memory() -> None:
    """Spend less of a large request on the garbage collector and on page faults.

    Layers are plain dictionaries without cycles; looking at them finds nothing. glibc returns large freed blocks to the
    kernel, and each new one costs a page fault every 4 KiB; it keeps blocks up to the largest one freed so far.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(GARBAGE_THRESHOLD)
    bytes(KEPT_BYTES)


def read_settings() -> Settings:
    """Read and check the settings.

    Raises:
        ValueError: one line that names the setting.
    """
    settings = from_environment()
    has_keys = bool(settings.keys())
    check_sources(settings)
    try:
        read_url(settings.database_url.get_secret_value(), settings.state)
    except DatabaseUrlError as error:
        raise ValueError(f"setting PEEPHOLE_DATABASE_URL: {error}") from None
    if is_public(settings.host) and not has_keys and not settings.public_without_key:
        raise ValueError(
            f"HOST {settings.host} is public and no key is set: set PEEPHOLE_API_KEYS, or "
            "PEEPHOLE_PUBLIC_WITHOUT_KEY=true to accept requests without a key"
        )
    return settings


def is_public(host: str) -> bool:
    """Whether other machines can reach the address."""
    try:
        return not ip_address(host).is_loopback
    except ValueError:
        return host != "localhost"
