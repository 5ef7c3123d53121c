"""Readers of MNIST, CIFAR-10 and scikit-learn's digits, in the forms they are published in.

Files are looked for in the folder `PEEPHOLE_DATA`, else in `~/.cache/peephole/data` (`XDG_CACHE_HOME` moves it): for
MNIST the idx files, `mnist.npz` or Parquet; for CIFAR-10 `cifar10.npz` or Parquet; for both a folder of images
(`<name>/train/<class>/*.png`). Nothing here unpickles.
"""

import gzip
import io
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray
from PIL import Image

from training.protocols import TrainingProtocol

Part = Literal["train", "test"]
_IDX = {"train": "train", "test": "t10k"}
_IMAGE_SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".bmp"}


class DataNotFoundError(FileNotFoundError):
    """The images of a data set are not where they are looked for."""


@dataclass(frozen=True)
class Images:
    """Normalised images float32 [count, channels, height, width] and labels int64 [count]."""

    images: torch.Tensor
    labels: torch.Tensor


Raw = tuple[NDArray[np.uint8], NDArray[np.int64]]


def user_folder() -> Path:
    """Where files of this user are kept between runs."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "peephole"


def data_folder() -> Path:
    """Where images are looked for."""
    return Path(os.environ.get("PEEPHOLE_DATA") or user_folder() / "data")


def _decode(image: bytes | Path) -> NDArray[np.uint8]:
    """Decode an image file to uint8 [height, width] or [height, width, 3]."""
    picture = Image.open(io.BytesIO(image) if isinstance(image, bytes) else image)
    return np.asarray(picture.convert("L" if picture.mode in {"L", "1", "I;16"} else "RGB"), dtype=np.uint8)


def read_idx(path: Path) -> NDArray[np.uint8]:
    """Read an idx file of unsigned bytes (MNIST's own format), gzipped or not."""
    content = path.read_bytes()
    if path.suffix == ".gz":
        content = gzip.decompress(content)
    if content[:3] != b"\0\0\x08":
        raise ValueError(f"{path} is not an idx file of unsigned bytes")
    dimensions = content[3]
    shape = np.frombuffer(content, ">u4", count=dimensions, offset=4)
    return np.frombuffer(content, np.uint8, offset=4 + 4 * dimensions).reshape(shape)


def read_parquet(paths: Sequence[Path]) -> Raw:
    """Read Parquet files with a `label` and an encoded `image` (or `img`; bytes, or a struct with `bytes`)."""
    images, labels = [], []
    for path in paths:
        try:
            table = pq.read_table(path)
        except pa.ArrowException as error:
            raise ValueError(f"{path} cannot be read as Parquet: {str(error).splitlines()[0]}") from error
        column = "image" if "image" in table.column_names else "img"
        cells = table[column].to_pylist()
        images += [_decode(cell["bytes"] if isinstance(cell, dict) else cell) for cell in cells]
        labels.append(table["label"].to_numpy())
    return np.stack(images), np.concatenate(labels).astype(np.int64)


def read_image_folder(folder: Path) -> Raw:
    """Read `<class>/<image>`; classes are numbered in the order of their names."""
    images, labels = [], []
    for label, group in enumerate(sorted(path for path in folder.iterdir() if path.is_dir())):
        for path in sorted(path for path in group.iterdir() if path.suffix.lower() in _IMAGE_SUFFIXES):
            images.append(_decode(path))
            labels.append(label)
    if not images:
        raise ValueError(f"{folder} holds no images")
    return np.stack(images), np.array(labels, dtype=np.int64)


def _candidates(name: str, part: Part, folder: Path) -> Iterator[Raw]:
    """Yield the data set from each published form found under `folder`."""
    for place in (folder, folder / name):
        for suffix in ("", ".gz"):
            pictures = place / f"{_IDX[part]}-images-idx3-ubyte{suffix}"
            labels = place / f"{_IDX[part]}-labels-idx1-ubyte{suffix}"
            if name == "mnist" and pictures.is_file() and labels.is_file():
                yield read_idx(pictures), read_idx(labels).astype(np.int64)
        archive = place / f"{name}.npz"
        if archive.is_file():
            with np.load(archive, allow_pickle=False) as arrays:
                yield arrays[f"x_{part}"], arrays[f"y_{part}"].astype(np.int64).reshape(-1)
        tables = sorted([*place.glob(f"{name}-{part}*.parquet"), *(folder / name).glob(f"{part}*.parquet")])
        if tables:
            yield _cached_parquet(tables)
        if place == folder / name and (place / part).is_dir():
            yield read_image_folder(place / part)


def _cached_parquet(paths: Sequence[Path]) -> Raw:
    """Decode once: the arrays are kept in the user's folder, keyed by the files' names, sizes and times."""
    key = "-".join(f"{path.stem}.{path.stat().st_size}.{int(path.stat().st_mtime)}" for path in paths)
    cache = user_folder() / f"{key}.npz"
    if cache.is_file():
        with np.load(cache, allow_pickle=False) as arrays:
            return arrays["images"], arrays["labels"]
    images, labels = read_parquet(paths)
    cache.parent.mkdir(parents=True, exist_ok=True)
    partial = cache.with_suffix(f".{os.getpid()}.npz")
    np.savez(partial, images=images, labels=labels)
    partial.replace(cache)
    return images, labels


def _digits(part: Part) -> Raw:
    """Scikit-learn's bundled 8x8 digits, the first 1,200 of a fixed shuffle to train on."""
    from sklearn.datasets import load_digits  # noqa: PLC0415 - slow to import, and only needed here

    digits = load_digits()
    order = np.random.default_rng(0).permutation(len(digits.target))
    chosen = order[:1200] if part == "train" else order[1200:]
    images = np.round(digits.images[chosen] * (255 / 16)).astype(np.uint8)
    return images, digits.target[chosen].astype(np.int64)


def read(name: str, part: Part) -> Raw:
    """Return images uint8 [count, height, width(, 3)] and labels int64 [count].

    Raises:
        DataNotFoundError: when no published form of the data set is found.
    """
    if name == "digits":
        return _digits(part)
    folder = data_folder()
    for found in _candidates(name, part, folder):
        return found
    given = "PEEPHOLE_DATA" if os.environ.get("PEEPHOLE_DATA") else "the default; PEEPHOLE_DATA is not set"
    idx = f", or as {_IDX[part]}-images-idx3-ubyte and {_IDX[part]}-labels-idx1-ubyte" if name == "mnist" else ""
    raise DataNotFoundError(
        f"no {part} images of {name} in {folder.resolve()} ({given}). Put them there as {name}.npz (x_{part}, "
        f"y_{part}), as {name}-{part}.parquet (columns image and label), as images {name}/{part}/<class>/*.png{idx}; "
        "or set the folder: export PEEPHOLE_DATA=/path/to/folder. The protocol digits-mini needs no files."
    )


def _shrink(images: torch.Tensor, resolution: int) -> torch.Tensor:
    """Average blocks of pixels down to `resolution`, which must divide the images' size."""
    size = images.shape[-1]
    if size % resolution:
        raise ValueError(f"cannot average {size}x{size} images down to {resolution}x{resolution}: not a whole factor")
    return torch.nn.functional.avg_pool2d(images, size // resolution) if size != resolution else images


def load(protocol: TrainingProtocol) -> tuple[Images, Images]:
    """Return the training and validation images of a protocol, normalised with the training images' statistics."""
    parts = []
    for part, count in (("train", protocol.train_images), ("test", protocol.validation_images)):
        raw, labels = read(protocol.dataset, "train" if part == "train" else "test")
        if len(raw) < count:
            raise ValueError(
                f"{protocol.name} needs {count} {part} images of {protocol.dataset}; {len(raw)} were found"
            )
        pixels = torch.from_numpy(raw[:count].astype(np.float32) / 255)
        pixels = pixels.unsqueeze(1) if pixels.ndim == 3 else pixels.permute(0, 3, 1, 2)
        parts.append((_shrink(pixels, protocol.resolution), torch.from_numpy(labels[:count])))
    (train, train_labels), (validation, validation_labels) = parts
    mean, std = train.mean((0, 2, 3), keepdim=True), train.std((0, 2, 3), keepdim=True)
    return Images((train - mean) / std, train_labels), Images((validation - mean) / std, validation_labels)
