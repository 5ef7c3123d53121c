"""Hypothesis strategies for layer lists that every layer code accepts when channel ratios are clamped."""

from typing import Any

from hypothesis import strategies as st

_kernels = st.tuples(st.integers(1, 5), st.integers(1, 5))
_pool_kernels = st.tuples(st.integers(2, 5), st.integers(2, 5))
_strides = st.tuples(st.integers(1, 3), st.integers(1, 3))


def _layer(kind: str, **fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({"type": st.just(kind), **fields})


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
