"""Settings: read from the environment once, then passed around; nothing else reads the environment."""

import os
import re
from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AliasChoices, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from model.network.schema import MAX_ARCHITECTURES, MAX_LAYERS

PREFIX = "PEEPHOLE_"
ALIKE = 0.8  # similarity of two names, by difflib: one missing letter in the shortest is
MIB = 1024 * 1024
DEFAULT_OWNER = "default"
_OWNER = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


class Settings(BaseSettings):
    """Everything that can be set. `HOST` and `PORT` carry no prefix, as hosting platforms expect."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="forbid", allow_inf_nan=False)

    host: str = Field("127.0.0.1", validation_alias=AliasChoices("host", "HOST"), description="Address to bind.")
    port: int = Field(8000, ge=0, le=65535, validation_alias=AliasChoices("port", "PORT"), description="Port to bind.")
    root_path: str = Field("", description="Path prefix that a proxy strips, such as `/peephole`.")
    cors_origins: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="Origins of web pages that may call the service, separated by commas; `*` for all."
    )

    playground: bool = Field(True, description="Serve the page at `/`.")

    models: Annotated[tuple[Path, ...], NoDecode] = Field(
        (),
        description="Artifact folders, or folders of artifact folders, separated by `:`; they replace shipped tasks.",
    )
    shipped: bool = Field(True, description="Load the predictors that ship with the package.")
    provider: Literal["auto", "cuda", "cpu"] = Field(
        "auto", description="Where predictors run; `cuda` fails without a GPU, `auto` falls back to the CPU."
    )
    threads: int = Field(0, ge=0, description="Inference threads; 0 takes the container's cores, at most 8.")

    max_body_bytes: int = Field(8 * MIB, ge=1024, description="Largest request body.")
    max_architectures: int = Field(
        MAX_ARCHITECTURES, ge=1, le=MAX_ARCHITECTURES, description="Most architectures in one request."
    )
    max_layers: int = Field(MAX_LAYERS, ge=1, le=MAX_LAYERS, description="Most layers in one architecture.")
    max_queue_cost: int = Field(1_000_000, ge=1, description="Most work in the queue, in padded layers.")
    max_queue_ms: int = Field(10_000, ge=1, description="Longest expected wait of a request; beyond it 429.")
    max_proxy_queue: int = Field(
        32, ge=1, description="Most networks that wait for their zero-cost scores; beyond it 429."
    )
    max_proxy_seconds: int = Field(
        10, ge=1, description="Longest expected time of a network's zero-cost scores, on a core; beyond it 422."
    )
    max_inflight_bytes: int = Field(128 * MIB, ge=1024, description="Most bytes of bodies in flight; beyond it 429.")
    max_deadline_ms: int = Field(60_000, ge=1, description="Longest time a request may take; also the default.")
    batch_cost: int = Field(4096, ge=1, description="Largest batch, in padded layers.")
    cache_entries: int = Field(20_000, ge=0, description="Predicted curves kept in memory.")

    state: Path = Field(
        Path("~/.local/state/peephole"), description="Folder of the SQLite database of stored tasks, `peephole.db`."
    )
    database_url: SecretStr = Field(
        SecretStr(""),
        description="Database to use instead: `postgresql://...` (extra `postgres`) or `sqlite:////path/to/file`.",
    )
    max_tasks: int = Field(100, ge=0, description="Most stored tasks of an owner of keys.")
    max_observations: int = Field(100_000, ge=0, description="Most stored observations of an owner of keys.")
    fit_every: int = Field(
        0,
        ge=0,
        description="New networks of a stored task that queue a fit, for `peephole worker`; 0: none.",
    )

    api_keys: SecretStr = Field(
        SecretStr(""), description="Accepted API keys, separated by commas: `KEY` or `OWNER:KEY`."
    )
    api_keys_file: Path | None = Field(
        None, description="A file with one key a line, beside PEEPHOLE_API_KEYS; lines that begin with # are comments."
    )
    public_without_key: bool = Field(False, description="Allow a public address without any key.")

    stall_seconds: float = Field(
        1.5, gt=0, description="Silence of an inference thread or the event loop after which /livez is 503."
    )
    hang_seconds: float = Field(10.0, gt=0, description="Silence after which the process exits with 70.")
    drain_seconds: float = Field(30.0, ge=0, description="Longest wait for requests in flight after SIGTERM.")
    reload_seconds: float = Field(2.0, ge=0, description="How often artifact folders are checked; 0: on SIGHUP only.")

    trace_endpoint: str | None = Field(
        None,
        validation_alias=AliasChoices(
            "trace_endpoint", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"
        ),
        description="Collector that OpenTelemetry traces go to (OTLP over HTTP; extra `otel`).",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least severe line to log.")

    @field_validator("models", mode="before")
    @classmethod
    def _split_paths(cls, value: object) -> object:
        return tuple(Path(part) for part in value.split(os.pathsep) if part) if isinstance(value, str) else value

    @field_validator("cors_origins", mode="before")
    @classmethod
    def _split_commas(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    def keys(self) -> dict[str, str]:
        """Return the API keys of the environment and of the file, and the owner of each.

        Raises:
            ValueError: naming the setting, when the file cannot be read or holds no key, a key has characters that
                clients do not send alike in a header, or its owner has no usable name or is not the only one.
        """
        keys = _owned(self.api_keys.get_secret_value().split(","), "PEEPHOLE_API_KEYS")
        if self.api_keys_file is not None:
            try:
                lines = self.api_keys_file.read_text("utf-8-sig", errors="surrogateescape").splitlines()
            except OSError as error:
                raise ValueError(f"setting PEEPHOLE_API_KEYS_FILE: {error.strerror}") from error
            in_file = _owned([line for line in lines if not line.startswith("#")], "PEEPHOLE_API_KEYS_FILE")
            if not in_file:
                raise ValueError("setting PEEPHOLE_API_KEYS_FILE: the file holds no key")
            if any(keys.get(key, owner) != owner for key, owner in in_file.items()):
                raise ValueError("setting PEEPHOLE_API_KEYS_FILE: a key of PEEPHOLE_API_KEYS has another owner here")
            keys |= in_file
        return keys

    def limits(self) -> dict[str, int]:
        """Return the limits of every request, as `/info` publishes them."""
        return {name: value for name, value in self.model_dump().items() if name.startswith("max_")}


def _owned(listed: Iterable[str], setting: str) -> dict[str, str]:
    """Return the keys of a list and their owners: an element is `KEY` or `OWNER:KEY`."""
    keys: dict[str, str] = {}
    for number, text in enumerate([text.strip() for text in listed if text.strip()], start=1):
        owner, colon, key = (part.strip() for part in text.partition(":"))
        if not colon:
            owner, key = DEFAULT_OWNER, text
        if not (key.isascii() and key.isprintable()):
            raise ValueError(f"setting {setting}: key {number} has other characters than printable ASCII")
        if not (key and _OWNER.fullmatch(owner)):
            raise ValueError(f"setting {setting}: key {number} is not of the form OWNER:KEY (a name, a colon, a key)")
        if keys.setdefault(key, owner) != owner:
            raise ValueError(f"setting {setting}: key {number} is there with another owner")
    return keys


def from_environment() -> Settings:
    """Return the settings.

    Raises:
        ValueError: one line that names the setting.
    """
    try:
        return Settings()
    except ValidationError as error:
        fault = error.errors(include_input=False)[0]
        raise ValueError(f"setting {variable_of(str(fault['loc'][0]))}: {fault['msg']}") from None


def variable_of(field: str) -> str:
    """Return the environment variable that sets a field, as documented."""
    info = Settings.model_fields.get(field)
    alias = info.validation_alias if info is not None else None
    if isinstance(alias, AliasChoices):
        return str(alias.choices[-1])
    return field if field in {"HOST", "PORT"} else PREFIX + field.upper()


def misspelt(environment: Iterable[str] = os.environ) -> dict[str, str]:
    """Return the variables that look like settings and are none, and what was probably meant."""
    fields = {field.upper(): field for field in Settings.model_fields}
    found = {}
    for variable in environment:
        name = variable.upper()
        rest = name.removeprefix(PREFIX)
        if rest == name or (rest in fields and variable_of(fields[rest]) == name):
            continue
        if close := get_close_matches(rest, fields, n=1, cutoff=ALIKE):
            found[variable] = variable_of(fields[close[0]])
    return found
