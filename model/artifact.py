"""An artifact: a folder that holds a fitted predictor.

`members.onnx` holds its neural networks if it has any, `arrays.npz` all other fitted numbers, and `card.json` says what
the predictor is, how good it is, and the sha256 of both. `networks.txt` beside them lists the networks that it was
fitted to, on its task or on those it was pretrained on, so that they are not used as a test. A line holds a network's
id, and its canonical hash where that differs.
"""

import errno
import hashlib
import io
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar
from zipfile import BadZipFile, ZipFile

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from .encoding.layer_code import CODES, LayerCode
from .network.shapes import Shape

MEMBERS_FILE = "members.onnx"
ARRAYS_FILE = "arrays.npz"
CARD_FILE = "card.json"
NETWORKS_FILE = "networks.txt"
ZOO = Path(__file__).parent / "zoo"


class ArtifactError(ValueError):
    """An artifact that cannot be trusted or understood; the message is one line that says where and why."""


class HasFiles(BaseModel):
    """A card that names the sha256 of each of its files."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    files: dict[str, Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]]

    @property
    def sha256(self) -> str:
        """One digest for all files."""
        return combine(self.files)


CardType = TypeVar("CardType", bound=HasFiles)


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


class Card(HasFiles):
    """What a predictor predicts, what it was fitted to, and how well it does.

    Attributes:
        task: the data set and training recipe whose curves it predicts.
        version: changes with every refit.
        family: `ensemble`, neural members and a Gaussian process; `process`, the latter alone; `lstm`, the paper's.
        code: name of the layer code it reads (`model.encoding.layer_code`).
        features: names of the hand features that its arrays are about (`model.encoding.features`).
        epochs: number of epochs of a curve; epoch 1 is the accuracy after the first pass.
        in_channels: channels of the task's images.
        resolution: height and width of the task's images in pixels.
        classes: of the task's data set, where they are known.
        training: what it was fitted to: networks, rows, the table's sha256, settings.
        metrics: measured figures, with how they were measured.
        interval_level: nominal coverage of `lower` and `upper`.
        distance_threshold: a network with a larger distance is out of distribution.
        layers: smallest and largest number of layers among the networks it was fitted to.
        opset: of the neural networks; `None` where there are none.
        about: the task, for people.
    """

    format: Literal[2] = 2
    task: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")
    version: str
    description: str
    family: Literal["ensemble", "process", "lstm"]
    code: Literal["paper", "extended"]
    features: tuple[str, ...] = ()
    epochs: int = Field(ge=1)
    in_channels: int = Field(ge=1)
    resolution: int = Field(ge=1)
    classes: int | None = None
    training: dict[str, Any]
    metrics: dict[str, Any]
    interval_level: float = Field(gt=0, lt=1)
    distance_threshold: float
    layers: tuple[int, int]
    opset: int | None
    created_at: str
    about: TaskDescription | None = None

    @model_validator(mode="after")
    def _check_code(self) -> "Card":
        if self.family != "lstm" and self.code != "extended":
            raise ValueError("hand features follow from the extended code")
        return self

    @property
    def needed(self) -> tuple[str, ...]:
        """Files that such a predictor is made of."""
        return (ARRAYS_FILE,) if self.family == "process" else (MEMBERS_FILE, ARRAYS_FILE)

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
    """A card, and the very bytes of the files that its sha256 were checked against.

    Attributes:
        card: of the predictor.
        files: of the predictor.
        folder: where they are from.
        beside: other files that were packed with them.
    """

    card: Card
    files: dict[str, bytes]
    folder: Path
    beside: dict[str, bytes] = field(default_factory=dict)


def digest(content: bytes) -> str:
    """Return a sha256."""
    return hashlib.sha256(content).hexdigest()


def digests(files: Mapping[str, bytes]) -> dict[str, str]:
    """Return the sha256 of each file."""
    return {name: digest(content) for name, content in files.items()}


def combine(digests: Mapping[str, str]) -> str:
    """Return one sha256 for those of several files."""
    return digest("".join(f"{name} {digests[name]}\n" for name in sorted(digests)).encode())


def read_verified(
    folder: Path,
    card_type: type[CardType],
    card_file: str,
    names: tuple[str, ...] | Callable[[CardType], tuple[str, ...]],
) -> tuple[CardType, dict[str, bytes]]:
    """Read a card and its files, and verify the files against the card.

    Args:
        folder: of the card and the files.
        card_type: of the card.
        card_file: its name.
        names: of the files, or what tells them from the card.

    Raises:
        ArtifactError: when a file is missing, the card is malformed or a file is not the card's.
    """
    return _verified(lambda name: _content(folder / name), folder, card_type, card_file, names)


def _verified(
    content: Callable[[str], bytes],
    folder: Path,
    card_type: type[CardType],
    card_file: str,
    names: tuple[str, ...] | Callable[[CardType], tuple[str, ...]],
) -> tuple[CardType, dict[str, bytes]]:
    try:
        card = card_type.model_validate_json(content(card_file))
        files = {name: content(name) for name in (names if isinstance(names, tuple) else names(card))}
    except OSError as error:
        raise ArtifactError(f"{folder}: {error.strerror}: {error.filename}") from error
    except ValidationError as error:
        faults = {"/".join(map(str, fault["loc"])) or "the file": fault["msg"] for fault in error.errors()}
        if "format" in faults:
            raise ArtifactError(
                f"{folder / card_file}: written by another version of Peephole; fit it again"
            ) from error
        where, message = next(iter(faults.items()))
        raise ArtifactError(f"{folder / card_file}: {where}: {message}") from error
    for name, found in files.items():
        if digest(found) != card.files.get(name):
            raise ArtifactError(
                f"{folder / name}: its sha256 is not the one in {card_file}; it was changed or truncated"
            )
    return card, files


def _content(file: Path) -> bytes:
    if file.exists() and not file.is_file():  # reading from a pipe may never end
        raise ArtifactError(f"{file}: not a regular file")
    return file.read_bytes()


def write_verified(folder: Path, card: HasFiles, card_file: str, files: Mapping[str, bytes]) -> None:
    """Write files and their card; the card last, so that a half-written folder does not verify."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    (folder / card_file).write_text(json.dumps(card.model_dump(mode="json"), indent=2) + "\n")


def pack_arrays(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """Return named arrays as the bytes of an npz file."""
    packed = io.BytesIO()
    np.savez_compressed(packed, allow_pickle=False, **arrays)
    return packed.getvalue()


def unpack_arrays(content: bytes) -> dict[str, NDArray[Any]]:
    """Return the arrays of an npz file; nothing in it is executed.

    Raises:
        ValueError: when it is not one.
    """
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            return dict(arrays)
    except (BadZipFile, OSError, EOFError) as error:
        raise ValueError("not an npz file") from error


def read_artifact(folder: Path) -> Artifact:
    """Read an artifact; see `read_verified`."""
    return Artifact(*read_verified(folder, Card, CARD_FILE, lambda card: card.needed), folder)


def pack_artifact(folder: Path, *, beside: Sequence[str] = ()) -> bytes:
    """Return an artifact folder's card, the files that it needs, and others `beside` them as one zip file."""
    artifact = read_artifact(folder)
    packed = io.BytesIO()
    with ZipFile(packed, "w") as archive:
        for name, content in {CARD_FILE: (folder / CARD_FILE).read_bytes(), **artifact.files}.items():
            archive.writestr(name, content)
        for name in beside:
            archive.writestr(name, (folder / name).read_bytes())
    return packed.getvalue()


def unpack_artifact(packed: bytes, name: Path) -> Artifact:
    """Read what `pack_artifact` returned; `name` says in errors which it is.

    Raises:
        ArtifactError: as `read_verified`.
    """
    try:
        with ZipFile(io.BytesIO(packed)) as archive:
            files = {member: archive.read(member) for member in archive.namelist()}
    except BadZipFile as error:
        raise ArtifactError(f"{name}: not a packed artifact") from error

    def content(member: str) -> bytes:
        if member not in files:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), member)
        return files[member]

    card, own = _verified(content, name, Card, CARD_FILE, lambda card: card.needed)
    beside = {member: held for member, held in files.items() if member not in own and member != CARD_FILE}
    return Artifact(card, own, name, beside)


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


def write_artifact(
    folder: Path, card: Card, files: Mapping[str, bytes], networks: Mapping[str, str] | None = None
) -> None:
    """Write an artifact folder.

    Args:
        folder: replaced file by file where it exists.
        card: what the predictor is.
        files: those that the card needs.
        networks: ids of the networks it was fitted to, each with its canonical hash.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if networks is None:
        (folder / NETWORKS_FILE).unlink(missing_ok=True)  # an earlier fit's
    else:
        lines = [name if name == canonical else f"{name} {canonical}" for name, canonical in sorted(networks.items())]
        (folder / NETWORKS_FILE).write_text("".join(f"{line}\n" for line in lines))
    if MEMBERS_FILE not in files:
        (folder / MEMBERS_FILE).unlink(missing_ok=True)
    write_verified(folder, card, CARD_FILE, files)


def shipped() -> list[Path]:
    """Return the folders of the predictors that ship with the package."""
    return sorted(card.parent for card in ZOO.glob(f"*/{CARD_FILE}"))
