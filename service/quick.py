"""How most requests are read: one pass of a JSON parser, then a look-up for the text of each layer.

Only what is known to be valid is read here. A layer never met before, unusual spacing or any fault at all is left to
`envelope` and `population`, which learn and explain: `None` means "ask them", never "invalid".
"""

from typing import Annotated, Literal

import msgspec

from service.envelope import CandidateFields, duplicates
from service.population import Population
from service.vocabulary import Vocabulary

Epoch = Annotated[int, msgspec.Meta(ge=1)]


class QuickRequest(msgspec.Struct, forbid_unknown_fields=True):
    """A prediction request; mirrors `schemas.PredictRequest`."""

    architectures: Annotated[list[CandidateFields], msgspec.Meta(min_length=1)]
    task: str | None = None
    epochs: Annotated[list[Epoch], msgspec.Meta(min_length=1)] | None = None
    out_of_range: Literal["error", "clamp"] = "error"


_REQUEST = msgspec.json.Decoder(QuickRequest)


def parse(body: bytes) -> QuickRequest | None:
    """Return a request that fits the schema, its networks not looked at yet."""
    try:
        return _REQUEST.decode(body)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return None


def look_up(asked: QuickRequest, vocabulary: Vocabulary, *, most: int, max_layers: int) -> Population | None:
    """Return the networks of a request when each of their layers was met before."""
    candidates = asked.architectures
    ids = [candidate.id for candidate in candidates]
    if len(candidates) > most or duplicates(ids):
        return None
    known_channels = (None, vocabulary.image.channels)
    networks: list[bytes] = []
    try:
        for candidate in candidates:
            layers, codes = bytes(candidate.layers), bytes(candidate.codes)
            if candidate.in_channels not in known_channels or bool(layers) == bool(codes):
                return None
            networks.append(vocabulary.layers_of(layers) if layers else vocabulary.codes_of(codes))
    except KeyError:
        return None
    if vocabulary.layers(max(networks, key=len)) > max_layers:
        return None
    observed = {index: one.observed for index, one in enumerate(candidates) if one.observed is not None}
    return Population(ids, vocabulary.codes(networks), [[]] * len(networks), observed)
