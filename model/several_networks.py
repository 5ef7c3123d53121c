"""Tells a file of several networks (a copy of averaged weights, a teacher, an ensemble) from one network's branches.

Any prefix of a name may stand for a copy or for a block. What counts: a part repeats what stands without its prefix; or
all parts are equal, and none can read what another one gives; or several parts read an image and end in a classifier.
"""

from collections.abc import Mapping

from .tensor_names import is_head

Shapes = Mapping[str, tuple[int, ...]]

_COLOURS = (2, 3, 4)
"""Channels that only images have; a depthwise convolution has one, as has one that reads grey images."""
_MOST_COPIES = 10
_MOST_PREFIXES = 8
_DEPTH = 2
"""Parts of a name, from the left, that may stand for a network."""


def apart(shapes: Shapes) -> list[str]:
    """Return the names of one of several networks in a state dict; none when there is one network.

    Args:
        shapes: of weights and biases, by name, in the order of the layers.
    """
    shapes = _without_common_prefix(shapes)
    children = _children(shapes)
    least = max(2, len(_weights(shapes)) // _MOST_COPIES)
    large = {prefix: weights for prefix, inside in children.items() if len(weights := _weights(inside)) >= least}
    copied = [prefix for prefix, weights in large.items() if _is_copy(weights, prefix, shapes)]
    contents = [_weights(_without_common_prefix(inside)) for inside in children.values()]
    if len(contents) > 1 and all(one == contents[0] for one in contents) and not _chains(contents[0]):
        copied = list(children)
    if copied:
        return [f"{copied[0]}.{name}" for name in children[copied[0]]]
    return _whole_apart(shapes, _DEPTH)


def _is_copy(inside: Shapes, prefix: str, shapes: Shapes) -> bool:
    """Tell whether all weights under a prefix are there without it, or under another one."""
    bare = _without_common_prefix(inside)
    if inside.items() <= shapes.items() or bare.items() <= shapes.items():
        return True
    rest = {name: shape for name, shape in shapes.items() if name.partition(".")[0] != prefix}
    return not _chains(bare) and bare.items() <= _without_common_prefix(rest).items()  # what chains may be a block


def _without_common_prefix(shapes: Shapes) -> Shapes:
    for _ in range(_MOST_PREFIXES):
        if len({name.partition(".")[0] for name in shapes}) > 1 or any(name.count(".") < 2 for name in shapes):
            break
        shapes = {name.partition(".")[2]: shape for name, shape in shapes.items()}
    return shapes


def _children(shapes: Shapes) -> dict[str, dict[str, tuple[int, ...]]]:
    """Return what stands under each first part of the names."""
    children: dict[str, dict[str, tuple[int, ...]]] = {}
    for name, shape in shapes.items():
        first, _, rest = name.partition(".")
        children.setdefault(first, {})[rest] = shape
    return children


def _weights(shapes: Shapes) -> dict[str, tuple[int, ...]]:
    """Return the weights of layers, without those of normalisation."""
    return {name: shape for name, shape in shapes.items() if len(shape) > 1}


def _chains(shapes: Shapes) -> bool:
    """Tell whether a part can read what an equal one gives, as blocks do, or is a single layer."""
    weights = list(_weights(shapes).values())
    if len(weights) < 2:
        return True
    first, given = weights[0], weights[-1][0]
    return given == first[1] or (first[1] == 1 and given == first[0])  # depthwise: as many channels as it gives


def _whole_apart(shapes: Shapes, depth: int) -> list[str]:
    """Return the names of a whole network beside another, or beside what is left."""
    children = _children(shapes)
    under = [{f"{prefix}.{name}": shape for name, shape in inside.items()} for prefix, inside in children.items()]
    whole = [part for part in under if _is_whole(part)]
    rest = {name: shape for part in under if not _is_whole(part) for name, shape in part.items()}
    parts = [*whole, rest] if whole and _is_whole(rest) else whole
    ends = [list(_weights(part).items())[-1] for part in parts]
    alike = len({shape[0] for _, shape in ends}) == 1 and (depth == _DEPTH or all(map(_reads_colours, parts)))
    if len(parts) > 1 and (alike or all(is_head(name) for name, _ in ends)):
        return list(parts[0])
    for prefix, inside in children.items() if depth > 1 else ():
        if found := _whole_apart(inside, depth - 1):
            return [f"{prefix}.{name}" for name in found]
    return []


def _is_whole(shapes: Shapes) -> bool:
    """Tell whether some layer can read an image and the last one be a classifier."""
    if _chains(shapes):
        return False
    first, *_, last = _weights(shapes).values()
    return (_reads_colours(shapes) or (len(first) == 4 and first[1] == 1)) and len(last) == 2


def _reads_colours(shapes: Shapes) -> bool:
    return any(len(shape) == 4 and shape[1] in _COLOURS for shape in shapes.values())
