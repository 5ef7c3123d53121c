"""Encode layer lists by look-up: the networks of a search are made of few distinct layers.

The code row of a layer depends on the layer and on its place: the shape of its input, whether a convolution came
before, whether a linear layer did. Each is encoded once; then a network costs one look-up a layer.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ..network.schema import Layer
from ..network.shapes import Shape, after
from .layer_code import CodeError, Encoding, LayerCode, LayerFault, encode

MAX_ENTRIES = 50_000  # 50 MB: a client that sends ever new layers cannot fill the memory

LayerKey = tuple[tuple[str, object], ...]


class _Place(dict[LayerKey, "tuple[bytes, _Place, LayerFault | None]"]):
    """A place in a network: from the next layer to its code row, the place behind it, and what had to be clamped."""

    def __init__(self, shape: Shape, *, is_stem: bool, is_flat: bool) -> None:
        super().__init__()
        self.shape = shape
        self.is_stem = is_stem
        self.is_flat = is_flat


class LayerCache:
    """The code rows of one layer code for images of one shape. Safe to use from several threads."""

    def __init__(self, code: LayerCode, image: Shape) -> None:
        self.code = code
        self.image = image
        self._clear()

    def _clear(self) -> None:
        self._entries = 0
        self._places: dict[tuple[Shape, bool, bool], _Place] = {}

    def encode(self, layers: Sequence[Layer]) -> Encoding:
        """Encode a network; channel ratios outside the code's table are clamped and reported.

        Raises:
            CodeError: as `layer_code.encode`, with every fault of the network.
        """
        rows: list[bytes] = []
        clamped: list[LayerFault] = []
        place = self._place(self.image, is_stem=True, is_flat=False)
        for index, layer in enumerate(layers):
            key = tuple(layer.items())
            entry = place.get(key)
            if entry is None:
                entry = self._encode(layer, place, layers)
                place[key] = entry
            row, place, fault = entry
            rows.append(row)
            if fault is not None:
                clamped.append(replace(fault, layer=index))
        codes = np.frombuffer(b"".join(rows), dtype=np.int32).reshape(len(rows), len(self.code.columns))
        return Encoding(codes, clamped)

    def _place(self, shape: Shape, *, is_stem: bool, is_flat: bool) -> _Place:
        place = self._places.get((shape, is_stem, is_flat))
        if place is None:
            place = self._places[shape, is_stem, is_flat] = _Place(shape, is_stem=is_stem, is_flat=is_flat)
        return place

    def _encode(self, layer: Layer, place: _Place, layers: Sequence[Layer]) -> tuple[bytes, _Place, LayerFault | None]:
        try:
            encoded = encode([layer], self.code, place.shape, clamp=True, is_stem=place.is_stem, is_flat=place.is_flat)
        except CodeError:
            encode(layers, self.code, self.image, clamp=True)  # raises with the faults of all layers
            raise
        if self._entries >= MAX_ENTRIES:
            self._clear()
        self._entries += 1
        behind = self._place(
            after(layer, place.shape),
            is_stem=place.is_stem and layer["type"] != "conv",
            is_flat=place.is_flat or layer["type"] == "linear",
        )
        return encoded.codes.tobytes(), behind, encoded.clamped[0] if encoded.clamped else None
