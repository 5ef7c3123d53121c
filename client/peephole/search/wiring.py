"""Networks with all names and inputs written out, so that they can be cut, joined and rewired."""

from collections.abc import Sequence
from itertools import count
from typing import Any, TypeAlias

from ..model.network.graph import sources_of
from ..model.network.schema import IMAGE, Layer
from ..model.sampling.families import Network

Wired: TypeAlias = list[dict[str, Any]]


def wired(layers: Sequence[Layer], prefix: str = "l") -> Wired:
    """Return layers with new names, each with the names of all it reads.

    Raises:
        NetworkError: as `sources_of`.
    """
    names = [f"{prefix}{index}" for index in range(len(layers))]
    return [
        {**layer, "name": name, "inputs": [IMAGE if source < 0 else names[source] for source in sources]}
        for layer, name, sources in zip(layers, names, sources_of(layers), strict=True)
    ]


def tidy(network: Wired) -> list[Layer]:
    """Return layers with names and inputs where they are needed.

    Raises:
        pydantic.ValidationError: when a field is out of bounds.
    """
    return Network([dict(layer) for layer in network]).tidy()


def rewire(network: Wired, old: str, new: str) -> Wired:
    """Return layers that read `new` where they read `old`."""
    return [{**layer, "inputs": [new if name == old else name for name in layer["inputs"]]} for layer in network]


def insert(network: Wired, place: int, added: Wired) -> Wired:
    """Return a network with layers behind the one at `place`; what read that one reads the last of them."""
    before, after = network[: place + 1], network[place + 1 :]
    return [*before, *added, *rewire(after, network[place]["name"], added[-1]["name"])]


def renamed(part: Wired, taken: Sequence[str], **replaced: str) -> Wired:
    """Return a copy of layers with names that are not taken yet; `replaced` are names of layers that they read."""
    free = (name for name in (f"n{number}" for number in count()) if name not in set(taken))
    names = {**replaced, **{layer["name"]: next(free) for layer in part}}
    return [
        {**layer, "name": names[layer["name"]], "inputs": [names.get(name, name) for name in layer["inputs"]]}
        for layer in part
    ]


def cuts(layers: Sequence[Layer]) -> list[int]:
    """Return the layers, but the last, that are all that what follows reads of what goes before."""
    open_edges = [0] * (len(layers) + 1)
    for index, sources in enumerate(sources_of(layers)):
        for source in sources:
            if source + 1 < index:  # the edge passes by the layers in between
                open_edges[source + 1] += 1
                open_edges[index] -= 1
    passing, found = 0, []
    for index in range(len(layers) - 1):
        passing += open_edges[index]
        if passing == 0:
            found.append(index)
    return found


def segment_behind(network: Wired, first: int, last: int) -> str | None:
    """Return what a run of layers reads, when it reads one layer and only its last layer is read by others."""
    inner = {layer["name"] for layer in network[first : last + 1]}
    read = {name for layer in network[first : last + 1] for name in layer["inputs"]} - inner
    hidden = inner - {network[last]["name"]}
    is_closed = not any(hidden & set(layer["inputs"]) for layer in network[last + 1 :])
    return read.pop() if len(read) == 1 and is_closed else None
