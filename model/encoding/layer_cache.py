"""Encode networks by look-up: the networks of a search are made of few distinct layers.

What a layer's extended code is depends on the layer and on the shapes that it reads. Each is encoded once; then a chain
costs one look-up a layer.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..network.graph import Costs, Node, normalised_convs, resolve, sources_of
from ..network.layer_types import LAYER_TYPES, shape_of
from ..network.schema import COMMON, Layer
from ..network.shapes import Shape, ShapeError
from .layer_code import EXTENDED, Encoding, LayerCode, encode, link, rows_of, without_identities

MAX_ROWS = 50_000  # 50 MB: a client that sends ever new layers cannot fill the memory

LayerKey = tuple[tuple[str, object], ...]


@dataclass(frozen=True, slots=True)
class _Entry:
    """A layer that reads certain shapes: its rows, its output's shape, parameters, FLOPs, values in memory."""

    rows: bytes
    after: Shape
    params: int
    flops: int
    values: int


class _Place(dict[LayerKey, "tuple[bytes, _Place, int, int, int]"]):
    """A place in a chain: from the next layer to its code, the place behind it and its costs."""

    def __init__(self, shape: Shape, *, saves_bias: int) -> None:
        super().__init__()
        self.shape = shape
        self.saves_bias = saves_bias  # parameters less when the next layer is batch_norm


class LayerCache:
    """Encodes in one layer code; the paper's is not worth remembering. Safe to use from several threads."""

    def __init__(self, code: LayerCode) -> None:
        self.code = code
        self._clear()

    def _clear(self) -> None:
        self._count = 0
        self._places: dict[tuple[Shape, int], _Place] = {}
        self._entries: dict[tuple[LayerKey, tuple[Shape, ...]], _Entry] = {}

    def encode(self, layers: Sequence[Layer], image: Shape) -> Encoding:
        """Encode a network on images of a shape.

        Raises:
            NetworkError: as `layer_code.encode`.
        """
        if self.code.is_paper:
            return encode(layers, self.code, image)
        rows: list[bytes] = []
        params = flops = most = 0
        place = self._place(image, saves_bias=0)
        for layer in layers:
            found = place.get(tuple(layer.items()))
            if found is None:
                if "inputs" in layer or "name" in layer or LAYER_TYPES[layer["type"]].is_merge:
                    return self._encode_graph(layers, image)
                found = self._add(layer, place, layers, image)
            row, place, more_params, more_flops, values = found
            rows.append(row)
            params += more_params
            flops += more_flops
            most = max(most, values)
        codes = np.frombuffer(b"".join(rows), dtype=np.int32).reshape(len(rows), len(EXTENDED.columns))
        return Encoding(without_identities(codes), Costs(params, flops, 4 * most))

    def _encode_graph(self, layers: Sequence[Layer], image: Shape) -> Encoding:
        nodes: list[Node] = []
        entries: list[_Entry] = []
        sources = sources_of(layers)
        for layer, read in zip(layers, sources, strict=True):
            before = tuple([image if source < 0 else nodes[source].after for source in read])
            entry = self._entry(layer, before, layers, image)
            entries.append(entry)
            nodes.append(Node(layer, read, before, entry.after))
        codes = np.frombuffer(b"".join([entry.rows for entry in entries]), dtype=np.int32).copy()
        codes = codes.reshape(-1, len(EXTENDED.columns))
        link(codes, [max(1, len(read) - 1) for read in sources], sources)
        unused = sum(nodes[index].after.channels for index in normalised_convs(nodes) if "bias" not in layers[index])
        params = sum([entry.params for entry in entries]) - unused
        flops = sum([entry.flops for entry in entries])
        return Encoding(without_identities(codes), Costs(params, flops, 4 * max(entry.values for entry in entries)))

    def _place(self, shape: Shape, *, saves_bias: int) -> _Place:
        place = self._places.get((shape, saves_bias))
        if place is None:
            place = self._places[shape, saves_bias] = _Place(shape, saves_bias=saves_bias)
        return place

    def _add(
        self, layer: Layer, place: _Place, layers: Sequence[Layer], image: Shape
    ) -> tuple[bytes, _Place, int, int, int]:
        """Encode the next layer of a chain."""
        entry = self._entry(layer, (place.shape,), layers, image)
        saved = place.saves_bias if layer["type"] == "batch_norm" else 0
        may_save = entry.after.channels if layer["type"] == "conv" and "bias" not in layer else 0
        behind = self._place(entry.after, saves_bias=may_save)
        found = entry.rows, behind, entry.params - saved, entry.flops, entry.values
        place[tuple(layer.items())] = found
        return found

    def _entry(self, layer: Layer, before: tuple[Shape, ...], layers: Sequence[Layer], image: Shape) -> _Entry:
        key = tuple([item for item in layer.items() if item[0] not in COMMON]), before
        entry = self._entries.get(key)
        if entry is not None:
            return entry
        try:
            after = shape_of(layer, before)
        except ShapeError:
            resolve(layers, image)  # raises with the layer's place
            raise
        if self._count >= MAX_ROWS:
            self._clear()
        rows = list(rows_of(layer, before))
        self._count += len(rows)
        row = LAYER_TYPES[layer["type"]]
        self._entries[key] = entry = _Entry(
            np.array(rows, dtype=np.int32).tobytes(),
            after,
            row.params(layer, before, after),
            row.flops(layer, before, after),
            sum(shape.size for shape in before) + after.size,
        )
        return entry
