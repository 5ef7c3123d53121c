"""Hypothesis strategies for networks: chains that every layer code accepts, chains and graphs of the whole form."""

from typing import Any

from hypothesis import strategies as st

from model.network.layer_types import LAYER_TYPES, shape_of
from model.network.shapes import Shape, ShapeError

IMAGE = Shape(3, 12, 12)

_kernels = st.tuples(st.integers(1, 5), st.integers(1, 5))
_pool_kernels = st.tuples(st.integers(2, 5), st.integers(2, 5))
_strides = st.tuples(st.integers(1, 3), st.integers(1, 3))


def _layer(kind: str, **fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({"type": st.just(kind), **fields})


def _with_options(kind: str, needed: dict[str, Any], **optional: st.SearchStrategy[Any]) -> Any:
    return st.fixed_dictionaries({"type": st.just(kind), **needed}, optional=optional)


_elementwise = st.sampled_from(["relu", "sigmoid", "tanh", "batch_norm"]).map(lambda kind: {"type": kind})
_spatial = (
    _layer("conv", kernel_size=_kernels, stride=_strides, channel_ratio=st.sampled_from([0.25, 0.5, 1.0, 1.5, 3.0]))
    | _layer("max_pool", kernel_size=_pool_kernels, stride=_strides)
    | _layer("avg_pool", kernel_size=_pool_kernels)
    | _layer("avg_pool", kernel_size=_pool_kernels, stride=_strides)
)
_dropout = _layer("dropout", p=st.floats(0, 0.9))
_linear = _layer("linear", out_features=st.integers(1, 64))

table_1_layers = st.lists(_spatial | _elementwise, min_size=1, max_size=12)
# No spatial layer follows a linear one, whose output is flat.
extended_layers = st.builds(
    lambda body, head: [*body, *head],
    st.lists(_spatial | _elementwise | _dropout | _layer("global_avg_pool"), min_size=1, max_size=9),
    st.lists(_linear | _elementwise | _dropout, max_size=3),
)

_sizes = st.integers(1, 4) | st.tuples(st.integers(1, 4), st.integers(1, 4))
_paddings = st.just("same") | st.integers(0, 2) | st.tuples(st.integers(0, 2), st.integers(0, 2))
_flags = st.booleans()
_pool_options: Any = {"stride": _sizes, "padding": _paddings, "ceil_mode": _flags}
_fields: dict[str, st.SearchStrategy[dict[str, Any]]] = {
    "conv": _with_options(
        "conv",
        {"kernel_size": _sizes, "out_channels": st.sampled_from([4, 6, 12])},
        stride=_sizes,
        groups=st.sampled_from([1, 2, 3, "depthwise"]),
        dilation=st.integers(1, 2) | st.tuples(st.integers(1, 2), st.integers(1, 2)),
        padding=_paddings,
        bias=_flags,
    ),
    "max_pool": _with_options("max_pool", {"kernel_size": _sizes}, **_pool_options),
    "avg_pool": _with_options("avg_pool", {"kernel_size": _sizes}, count_include_pad=_flags, **_pool_options),
    "adaptive_avg_pool": _layer("adaptive_avg_pool", output_size=_sizes),
    "linear": _with_options("linear", {"out_features": st.sampled_from([4, 6, 12])}, bias=_flags),
    "dropout": _with_options("dropout", {}, p=st.floats(0, 0.9)),
    "group_norm": _layer("group_norm", num_groups=st.integers(1, 3)),
    "prelu": _with_options("prelu", {}, per_channel=_flags),
    "channel_shuffle": _layer("channel_shuffle", groups=st.integers(1, 3)),
    "slice": st.builds(lambda start, n: {"type": "slice", "start": start, "end": start + n}, *[st.integers(1, 3)] * 2),
    "pad": _layer("pad", padding=st.tuples(*[st.integers(0, 2)] * 4)),
    "upsample": _layer("upsample", scale_factor=st.integers(1, 2)),
}
any_layer = st.sampled_from(list(LAYER_TYPES)).flatmap(lambda kind: _fields.get(kind, st.just({"type": kind})))


@st.composite
def graphs(draw: Any, image: Shape = IMAGE) -> list[dict[str, Any]]:
    """Networks of all types in which each layer reads some earlier ones, its inputs named."""
    shapes: dict[str, Shape] = {"input": image}
    made: dict[str, dict[str, Any]] = {}
    for number, layer in enumerate(draw(st.lists(any_layer, min_size=2, max_size=12))):
        # The latest layers are the likeliest, so that most graphs are deep.
        count = draw(st.integers(2, 3)) if LAYER_TYPES[layer["type"]].is_merge else 1
        some = st.sampled_from([*shapes, *[list(shapes)[-1]] * len(shapes)])
        inputs = draw(st.lists(some, min_size=count, max_size=count))
        try:
            shape = shape_of(layer, [shapes[name] for name in inputs])
        except ShapeError:
            continue
        shapes[f"n{number}"] = shape
        made[f"n{number}"] = layer | {"name": f"n{number}", "inputs": tuple(inputs)}
    if not made:
        return [{"type": "relu"}]
    wanted = {list(made)[-1]}
    for name in reversed(made):
        if name in wanted:
            wanted.update(made[name]["inputs"])
    return [layer for name, layer in made.items() if name in wanted]
