"""What the page draws of a network: what each layer makes, and what it costs."""

from typing import Any

from pydantic import ConfigDict, TypeAdapter, with_config
from typing_extensions import TypedDict

from model.network.faults import Fault, pointer
from model.network.graph import NetworkError, normalised_convs, resolve
from model.network.layer_types import LAYER_TYPES
from model.network.schema import Layers
from model.network.shapes import Shape
from model.requests.errors import InvalidRequestError, parse
from model.requests.schema import Input


@with_config(ConfigDict(extra="forbid", strict=True))
class Drawing(TypedDict):
    """A network, and the images that it reads."""

    layers: Layers
    input: Input


DRAWING: TypeAdapter[Drawing] = TypeAdapter(Drawing)


def draw(body: bytes, max_layers: int) -> list[dict[str, Any]]:
    """Return the shape of each layer's output, its parameters and its FLOPs.

    Args:
        body: a `Drawing` in JSON.
        max_layers: the most in a network.

    Raises:
        InvalidRequestError: with a pointer to each fault.
    """
    document = parse(DRAWING, body, Drawing)
    if len(document["layers"]) > max_layers:
        detail = f"{len(document['layers'])} layers are more than the limit of {max_layers}"
        raise InvalidRequestError(Fault("/layers", "too-long", detail))
    try:
        nodes = resolve(document["layers"], Shape(*document["input"]))
    except NetworkError as error:
        places = [(pointer("layers", one.layer, one.field), one.message) for one in error.faults]
        raise InvalidRequestError(*(Fault(place, "impossible", message) for place, message in places)) from None
    unbiased = normalised_convs(nodes)
    found = []
    for index, node in enumerate(nodes):
        row, layer = LAYER_TYPES[node.layer["type"]], node.layer
        params = row.params(layer, node.before, node.after)
        if index in unbiased and "bias" not in layer:
            params -= node.after.channels
        flops = row.flops(layer, node.before, node.after)
        found.append({"shape": str(node.after), "params": params, "flops": flops})
    return found
