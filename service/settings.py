"""Settings: read from the environment once, then passed around; nothing else reads the environment."""

import os
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AliasChoices, Field, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

KIB = 1024
MIB = 1024 * KIB


class Settings(BaseSettings):
    """Everything that can be set. `HOST` and `PORT` carry no prefix, as hosting platforms expect."""

    model_config = SettingsConfigDict(env_prefix="PEEPHOLE_", frozen=True, extra="forbid")

    host: str = Field("127.0.0.1", validation_alias=AliasChoices("host", "HOST"), description="Address to bind.")
    port: int = Field(8000, ge=0, le=65535, validation_alias=AliasChoices("port", "PORT"), description="Port to bind.")

    models: Annotated[tuple[Path, ...], NoDecode] = Field(
        (),
        description="Artifact folders, or folders of artifact folders, separated by ':'; they win over shipped ones.",
    )
    shipped: bool = Field(True, description="Load the predictors that ship with the package.")
    provider: Literal["auto", "cuda", "cpu"] = Field(
        "auto", description="Where predictors run; `cuda` refuses to start without a GPU, `auto` falls back to the CPU."
    )
    threads: int = Field(0, ge=0, description="Cores one prediction may use; 0 takes the container's share.")

    max_body_bytes: int = Field(16 * MIB, ge=KIB, description="Largest request body.")
    max_architectures: int = Field(4096, ge=1, description="Most architectures in one request.")
    max_layers: int = Field(1024, ge=1, description="Most layers in one architecture.")

    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least severe line to log.")

    @field_validator("models", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return tuple(Path(part) for part in value.split(os.pathsep) if part) if isinstance(value, str) else value

    def limits(self) -> dict[str, int]:
        """Return the limits that every request is held to, as `/info` publishes them."""
        return {name: value for name, value in self.model_dump().items() if name.startswith("max_")}
