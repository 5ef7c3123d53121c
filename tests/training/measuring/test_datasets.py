"""MNIST and CIFAR-10 are read from each form they are published in, and nothing is unpickled."""

import gzip
import io
import struct

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from training.measuring import datasets
from training.protocols import PROTOCOLS

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (6, 28, 28), dtype=np.uint8)
COLOUR = RNG.integers(0, 256, (6, 32, 32, 3), dtype=np.uint8)
LABELS = np.array([0, 1, 2, 0, 1, 2])


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("PEEPHOLE_DATA", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path


def idx(array):
    header = b"\0\0\x08" + bytes([array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    return header + array.astype(np.uint8).tobytes()


def png(image):
    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG")
    return file.getvalue()


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_mnist_as_idx(folder, suffix):
    pack = gzip.compress if suffix else bytes
    (folder / f"train-images-idx3-ubyte{suffix}").write_bytes(pack(idx(GREY)))
    (folder / f"train-labels-idx1-ubyte{suffix}").write_bytes(pack(idx(LABELS)))
    images, labels = datasets.read("mnist", "train")
    np.testing.assert_array_equal(images, GREY)
    np.testing.assert_array_equal(labels, LABELS)


def test_mnist_as_npz(folder):
    np.savez(folder / "mnist.npz", x_train=GREY, y_train=LABELS.astype(np.uint8), x_test=GREY[:2], y_test=LABELS[:2])
    images, labels = datasets.read("mnist", "test")
    np.testing.assert_array_equal(images, GREY[:2])
    np.testing.assert_array_equal(labels, LABELS[:2])


def test_a_pickled_npz_is_rejected(folder):
    np.savez(folder / "mnist.npz", x_train=np.array([{}], dtype=object), y_train=LABELS)
    with pytest.raises(ValueError, match="allow_pickle"):
        datasets.read("mnist", "train")


@pytest.mark.parametrize("column", ["image", "img"])
def test_cifar10_as_parquet_and_from_the_cache(folder, column):
    cells = [png(image) for image in COLOUR]
    cells = [{"bytes": cell, "path": None} for cell in cells] if column == "img" else cells
    for part in (0, 1):
        half = slice(3 * part, 3 * part + 3)
        pq.write_table(pa.table({column: cells[half], "label": LABELS[half]}), folder / f"cifar10-train-{part}.parquet")
    for _ in range(2):
        images, labels = datasets.read("cifar10", "train")
        np.testing.assert_array_equal(images, COLOUR)
        np.testing.assert_array_equal(labels, LABELS)
    assert len(list((folder / "cache").rglob("*.npz"))) == 1


def test_a_folder_of_images(folder):
    for image, label in zip(COLOUR, LABELS, strict=True):
        place = folder / "cifar10" / "test" / str(label)
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{len(list(place.iterdir()))}.png").write_bytes(png(image))
    images, labels = datasets.read("cifar10", "test")
    assert labels.tolist() == [0, 0, 1, 1, 2, 2]
    np.testing.assert_array_equal(images[0], COLOUR[0])


def test_missing_images_say_where_they_were_looked_for_and_what_to_put_there(folder):
    with pytest.raises(datasets.DataNotFoundError) as found:
        datasets.read("mnist", "train")
    for part in (str(folder), "mnist.npz", "mnist-train.parquet", "train-images-idx3-ubyte", "export PEEPHOLE_DATA="):
        assert part in str(found.value)


@pytest.mark.parametrize("value", [None, ""])
def test_without_the_setting_images_are_in_the_users_folder(folder, monkeypatch, value):
    monkeypatch.delenv("PEEPHOLE_DATA") if value is None else monkeypatch.setenv("PEEPHOLE_DATA", value)
    place = folder / "cache" / "peephole" / "data"
    assert datasets.data_folder() == place
    with pytest.raises(datasets.DataNotFoundError, match=f"{place} .*PEEPHOLE_DATA is not set"):
        datasets.read("cifar10", "test")
    place.mkdir(parents=True)
    np.savez(place / "cifar10.npz", x_test=COLOUR, y_test=LABELS)
    assert len(datasets.read("cifar10", "test")[0]) == len(COLOUR)
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/home/user")
    assert str(datasets.data_folder()) == "/home/user/.cache/peephole/data"


def test_the_digits_need_no_file_and_are_normalised():
    train, validation = datasets.load(PROTOCOLS["digits-mini"])
    assert train.images.shape == (1200, 1, 8, 8)
    assert validation.images.shape == (597, 1, 8, 8)
    assert abs(float(train.images.mean())) < 1e-5
    assert float(train.images.std()) == pytest.approx(1, abs=1e-3)


def test_images_are_averaged_down():
    images = datasets._shrink(datasets.torch.arange(16.0).reshape(1, 1, 4, 4), 2)
    assert images.flatten().tolist() == [2.5, 4.5, 10.5, 12.5]
