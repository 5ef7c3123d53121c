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
    if any(candidate.in_channels not in (None, vocabulary.image.channels) for candidate in candidates):
        return None
    layers = [bytes(candidate.layers) for candidate in candidates]
    codes = [bytes(candidate.codes) for candidate in candidates]
    if any(bool(one) == bool(other) for one, other in zip(layers, codes, strict=True)):
        return None
    try:
        as_layers = iter(vocabulary.layers_of(list(filter(None, layers))))
        as_codes = iter(vocabulary.codes_of(list(filter(None, codes))))
    except KeyError:
        return None
    networks = [next(as_codes if text else as_layers) for text in codes]
    if max(map(len, networks)) > max_layers:
        return None
    observed = {index: one.observed for index, one in enumerate(candidates) if one.observed is not None}
    return Population(ids, networks, [[]] * len(networks), observed)
