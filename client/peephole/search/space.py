"""A space of networks: what is drawn, within which limits."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from dataclasses import fields as fields_of
from typing import Any, TypeAlias, get_args

import numpy as np
from pydantic import ValidationError

from ..errors import RequestError
from ..model.network.faults import Fault, faults_of, pointer
from ..model.network.graph import Costs, NetworkError, costs, resolve
from ..model.network.hashing import canonical_hash
from ..model.network.schema import LAYERS, MAX_LAYERS, Layer
from ..model.network.shapes import Shape
from ..model.sampling.blocks import MAX_LAYERS as MAX_BLOCK
from ..model.sampling.blocks import is_block, sample_block
from ..model.sampling.families import FAMILIES
from ..model.sampling.population import SearchSpace
from ..model.sampling.skeleton import assemble

Layers: TypeAlias = Sequence[Mapping[str, Any]]
Rng: TypeAlias = np.random.Generator
COMPUTED = tuple(one.name for one in fields_of(Costs))
STEM = 3  # layers before the skeleton's first block
MOST_TRIES = 1000  # draws that miss the constraints, in a row


@dataclass(frozen=True)
class Space:
    """Networks to choose from.

    Attributes:
        input: channels, height and width of an image.
        kind: `families` are networks like those that people use, chains and graphs; `paper` are the paper's blocks,
            each repeated in its skeleton.
        families: which of them; all by default.
        width: channels of the first stage of the paper's skeleton.
        max_layers: of a network.
        constraints: upper bounds of `params`, `flops` and `activation_bytes`.

    Raises:
        ValueError: when there is no such kind, family or cost.
    """

    input: tuple[int, int, int]
    kind: SearchSpace = "families"
    families: tuple[str, ...] = tuple(FAMILIES)
    width: int = 16
    max_layers: int = 256
    constraints: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _one_of("kind", [self.kind], get_args(SearchSpace))
        _one_of("families", self.families, FAMILIES)
        _one_of("constraints", self.constraints, COMPUTED)
        if not self.families:
            raise ValueError(f"families must name at least one of: {', '.join(FAMILIES)}")
        if not 1 <= self.max_layers <= MAX_LAYERS:
            raise ValueError(f"max_layers must be 1 to {MAX_LAYERS}, but is {self.max_layers}")
        if len(self.input) != 3 or min(self.input) < 1 or self.width < 1:
            raise ValueError("input must be channels, height and width; they and the width are at least 1")

    @property
    def image(self) -> Shape:
        """The input as a shape."""
        return Shape(*self.input)

    def block_of(self, layers: Sequence[Layer]) -> list[Layer] | None:
        """Return the block that the paper's skeleton repeats to give these layers; `None` when there is none."""
        for length in range(1, MAX_BLOCK + 1):
            block = list(layers[STEM : STEM + length])
            whole = assemble_or_none(self, block) if is_block(block) else None
            if whole is not None and len(whole) == len(layers) and is_same(whole, layers, self.image):
                return block
        return None


def assemble_or_none(space: Space, block: Sequence[Layer]) -> list[Layer] | None:
    """Return the paper's network of a block; `None` when the image is too small for it."""
    try:
        return assemble(block, space.image, space.width)
    except NetworkError:
        return None


def is_same(one: Sequence[Layer], other: Sequence[Layer], image: Shape) -> bool:
    """Whether two lists of layers are the same network."""
    return canonical_hash(one, image) == canonical_hash(other, image)


def sample(space: Space, count: int = 1, *, seed: int | Rng = 0) -> list[list[Layer]]:
    """Draw distinct networks.

    Args:
        space: to draw from.
        count: of networks.
        seed: fixes them; or a generator.

    Raises:
        ValueError: when a thousand draws in a row miss the constraints, or are repeated.
    """
    drawn = _draws(space, np.random.default_rng(seed))
    return [next(drawn) for _ in range(count)]


def _draws(space: Space, rng: Rng) -> Iterator[list[Layer]]:
    seen: set[str] = set()
    while True:
        for _ in range(MOST_TRIES):
            layers = draw(space, rng)
            if layers is not None and is_within(layers, space) and hash(layers, space.input) not in seen:
                break
        else:
            raise ValueError(
                f"{MOST_TRIES} draws in a row miss the constraints {dict(space.constraints)} or are repeated"
            )
        seen.add(hash(layers, space.input))
        yield layers


def draw(space: Space, rng: Rng) -> list[Layer] | None:
    """Draw a network; the constraints are not looked at."""
    if space.kind == "paper":
        return assemble_or_none(space, sample_block(rng))
    return FAMILIES[str(rng.choice(space.families))](rng).tidy()


def is_within(layers: Sequence[Layer], space: Space) -> bool:
    """Whether layers make a network of at most as many layers and costs as the space allows."""
    try:
        found = costs(resolve(layers, space.image))
    except NetworkError:
        return False
    within = all(getattr(found, name) <= most for name, most in space.constraints.items())
    return within and len(layers) <= space.max_layers


def validate(network: Layers | Mapping[str, Any], space: Space) -> list[Layer]:
    """Return the layers of a network in the form's own types.

    Raises:
        RequestError: with a pointer to each fault, when they make no network, or one outside the space.
    """
    layers = read(network, space.input)
    if len(layers) > space.max_layers:
        raise _fault(
            "/layers", "too-long", f"{len(layers)} layers are more than the space's limit of {space.max_layers}"
        )
    found = costs(resolve(layers, space.image))
    for name, most in space.constraints.items():
        if getattr(found, name) > most:
            raise _fault("/layers", "out-of-range", f"{getattr(found, name):,} {name} are more than {most:,.0f}")
    if space.kind == "paper" and space.block_of(layers) is None:
        raise _fault("/layers", "impossible", f"not a block in the paper's skeleton of width {space.width}")
    return layers


def read(network: Layers | Mapping[str, Any], image: Sequence[int]) -> list[Layer]:
    """Return the layers of a network or architecture in the form's own types.

    Raises:
        RequestError: with a pointer to each fault, when they make no network for the image.
    """
    layers = network["layers"] if isinstance(network, Mapping) else network
    try:
        read_layers = LAYERS.validate_python([dict(one) for one in layers])
        resolve(read_layers, shape_of(image))
    except ValidationError as error:
        faults = faults_of(error, ("layers",))
    except NetworkError as error:
        faults = [Fault(pointer("layers", one.layer, one.field), "impossible", one.message) for one in error.faults]
    else:
        return read_layers
    raise RequestError(f"{faults[0].pointer}: {faults[0].detail}", faults=faults)


def hash(network: Layers | Mapping[str, Any], input: Sequence[int]) -> str:  # noqa: A001, A002
    """Return 16 hexadecimal digits that are equal for equal networks, however they are written.

    Args:
        network: layers or an architecture.
        input: channels, height and width of an image.

    Raises:
        RequestError: as `validate`.
    """
    return canonical_hash(read(network, input), shape_of(input))


def shape_of(image: Sequence[int]) -> Shape:
    """Return channels, height and width as a shape."""
    channels, height, width = image
    return Shape(channels, height, width)


def _fault(where: str, code: str, detail: str) -> RequestError:
    return RequestError(f"{where}: {detail}", faults=[Fault(where, code, detail)])


def _one_of(name: str, given: Any, known: Any) -> None:
    unknown = sorted(set(given) - set(known))
    if unknown:
        raise ValueError(f"{name}: no {', '.join(map(str, unknown))}; there are {', '.join(known)}")
