"""An artifact: a folder with `predictor.onnx` and `card.json`, which says what the predictor is and how good it is.

`networks.txt` beside them lists the networks that it was fitted to, on its task or on those it was pretrained on, so
that they are not used as a test. A line holds a network's id, and its canonical hash where that differs.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from .encoding.layer_code import CODES, LayerCode
from .network.shapes import Shape

MODEL_FILE = "predictor.onnx"
CARD_FILE = "card.json"
NETWORKS_FILE = "networks.txt"
ZOO = Path(__file__).parent / "zoo"


class ArtifactError(ValueError):
    """An artifact that cannot be trusted or understood; the message is one line that says where and why."""


class HasDigest(BaseModel):
    """A card that names the sha256 of its model."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")


CardType = TypeVar("CardType", bound=HasDigest)


class TaskDescription(BaseModel):
    """What people want to know of a task.

    Attributes:
        measured: what the accuracies are, of which data.
        search_space: which networks were measured, in words.
        training_recipe: how they were trained: optimiser, learning rate, batch, epochs, augmentation, images.
        limits: what the predictions are not good for.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    measured: str
    search_space: str
    training_recipe: dict[str, str | int | float]
    limits: tuple[str, ...] = ()


class Card(HasDigest):
    """What a predictor predicts, what it was fitted to, and how well it does.

    Attributes:
        task: the data set and training recipe whose curves it predicts.
        version: changes with every refit.
        code: name of the layer code it reads (`model.encoding.layer_code`).
        epochs: number of epochs of a curve; epoch 1 is the accuracy after the first pass.
        in_channels: channels of the task's images.
        resolution: height and width of the task's images in pixels.
        training: what it was fitted to: networks, rows, the table's sha256, settings.
        metrics: measured figures, with how they were measured.
        interval_level: nominal coverage of `lower` and `upper`.
        distance_threshold: a network with a larger out-of-distribution score is unfamiliar.
        layers: smallest and largest number of layers among the networks it was fitted to.
        about: the task, for people.
        sha256: of `predictor.onnx`.
    """

    format: Literal[1] = 1
    task: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")
    version: str
    description: str
    code: Literal["paper", "extended"]
    epochs: int = Field(ge=1)
    in_channels: int = Field(ge=1)
    resolution: int = Field(ge=1)
    training: dict[str, Any]
    metrics: dict[str, Any]
    interval_level: float = Field(gt=0, lt=1)
    distance_threshold: float
    layers: tuple[int, int]
    opset: int
    created_at: str
    about: TaskDescription | None = None

    @property
    def image(self) -> Shape:
        """Shape of one of the task's images."""
        return Shape(self.in_channels, self.resolution, self.resolution)

    @property
    def layer_code(self) -> LayerCode:
        """The code table that turns layers into the predictor's input."""
        return CODES[self.code]


@dataclass(frozen=True)
class Artifact:
    """A card and the very bytes of the model that the card's sha256 was checked against."""

    card: Card
    model: bytes
    folder: Path


def digest(model: bytes) -> str:
    """Return the sha256 of a model's bytes."""
    return hashlib.sha256(model).hexdigest()


def read_verified(folder: Path, card_type: type[CardType], card_file: str, model_file: str) -> tuple[CardType, bytes]:
    """Read a card and the model it speaks of, and verify the model against the card.

    Raises:
        ArtifactError: when a file is missing, the card is malformed or the model is not the card's.
    """
    for file in (folder / card_file, folder / model_file):
        if file.exists() and not file.is_file():  # reading from a pipe may never end
            raise ArtifactError(f"{file}: not a regular file")
    try:
        card = card_type.model_validate_json((folder / card_file).read_bytes())
        model = (folder / model_file).read_bytes()
    except OSError as error:
        raise ArtifactError(f"{folder}: {error.strerror}: {error.filename}") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = "/".join(str(part) for part in first["loc"]) or "the file"
        if where == "format":
            raise ArtifactError(
                f"{folder / card_file}: written by another version of Peephole; fit it again"
            ) from error
        raise ArtifactError(f"{folder / card_file}: {where}: {first['msg']}") from error
    if digest(model) != card.sha256:
        raise ArtifactError(
            f"{folder / model_file}: its sha256 is not the one in {card_file}; it was changed or truncated"
        )
    return card, model


def read_artifact(folder: Path) -> Artifact:
    """Read an artifact; see `read_verified`."""
    return Artifact(*read_verified(folder, Card, CARD_FILE, MODEL_FILE), folder)


def read_networks(artifact: Artifact) -> frozenset[str] | None:
    """Return ids and canonical hashes of the networks an artifact was fitted to; `None` where it does not list them.

    Raises:
        ArtifactError: when the list is not the card's.
    """
    file = artifact.folder / NETWORKS_FILE
    if not file.exists():
        return None
    try:
        lines = {line.split()[0]: line.split() for line in file.read_text("ascii").splitlines() if line.strip()}
    except (OSError, UnicodeDecodeError) as error:
        raise ArtifactError(f"{file}: {error}") from error
    expected = artifact.card.training.get("networks_listed", artifact.card.training.get("networks"))
    if len(lines) != expected:
        raise ArtifactError(f"{file} lists {len(lines)} networks, {CARD_FILE} says {expected}; it is of another fit")
    return frozenset(name for names in lines.values() for name in names)


def write_artifact(folder: Path, card: Card, model: bytes, networks: Mapping[str, str] | None = None) -> None:
    """Write an artifact folder; the card last, so that a half-written folder does not verify.

    Args:
        folder: replaced file by file where it exists.
        card: what the model is.
        model: ONNX.
        networks: ids of the networks it was fitted to, each with its canonical hash.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MODEL_FILE).write_bytes(model)
    if networks is None:
        (folder / NETWORKS_FILE).unlink(missing_ok=True)  # an earlier fit's
    else:
        lines = [name if name == canonical else f"{name} {canonical}" for name, canonical in sorted(networks.items())]
        (folder / NETWORKS_FILE).write_text("".join(f"{line}\n" for line in lines))
    (folder / CARD_FILE).write_text(json.dumps(card.model_dump(mode="json"), indent=2) + "\n")


def shipped() -> list[Path]:
    """Return the folders of the predictors that ship with the package."""
    return sorted(card.parent for card in ZOO.glob(f"*/{CARD_FILE}"))
