"""Networks as a search has them, as the architectures of a request."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from .errors import RequestError
from .model.network.faults import Fault

Network: TypeAlias = Mapping[str, Any] | Sequence[Mapping[str, Any]]
"""A list of layers, an architecture (an object with `layers`), or what an importer returns."""
Networks: TypeAlias = Network | Sequence[Network]

Architectures: TypeAlias = list[dict[str, Any]]


def architectures_of(networks: Networks, image: Sequence[int] | None) -> tuple[Architectures, list[int] | None]:
    """Return networks as architectures, and the image that they read.

    Args:
        networks: one or many, in any form.
        image: channels, height, width; it counts more than what imported networks say.

    Raises:
        RequestError: when there is no network, two have the same id, or imported ones read different images.
    """
    found: Architectures = []
    images: set[tuple[int, ...]] = set()
    for network in _listed(networks):
        if isinstance(network, Mapping) and "architectures" in network:
            found += [dict(one) for one in network["architectures"]]
            images |= {tuple(network["input"])} if "input" in network else set()
        else:
            found.append(dict(network) if isinstance(network, Mapping) else {"layers": network})
    if not found:
        raise _fault("/architectures", "too-short", "there is no network")
    if image is None and len(images) > 1:
        raise _fault("/input", "missing", "the networks were imported for different images; give `input`")
    _check_ids(found)
    return found, list(image or next(iter(images), ())) or None


def _listed(networks: Networks) -> Sequence[Network]:
    """Return one network as a list of one."""
    if isinstance(networks, Mapping):
        return [networks]
    is_layers = bool(networks) and isinstance(networks[0], Mapping) and "type" in networks[0]
    return [networks] if is_layers else networks  # type: ignore[list-item]


def _check_ids(architectures: Architectures) -> None:
    """The service sees the ids of one request only."""
    seen: set[str] = set()
    for index, architecture in enumerate(architectures):
        name = architecture.get("id")
        if not isinstance(name, str):
            continue
        if name in seen:
            raise _fault(f"/architectures/{index}/id", "duplicate", "another network has this id")
        seen.add(name)


def _fault(where: str, code: str, detail: str) -> RequestError:
    return RequestError(f"{where}: {detail}", faults=[Fault(where, code, detail)])
