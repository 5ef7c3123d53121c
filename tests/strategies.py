"""Hypothesis strategies for layer lists."""

from hypothesis import strategies as st

from model.network.schema import (
    AvgPool,
    BatchNorm,
    Conv,
    Dropout,
    GlobalAvgPool,
    Linear,
    MaxPool,
    ReLU,
    Sigmoid,
    Tanh,
)

_kernels = st.tuples(st.integers(1, 5), st.integers(1, 5))
_pool_kernels = st.tuples(st.integers(2, 5), st.integers(2, 5))
_strides = st.tuples(st.integers(1, 3), st.integers(1, 3))
_activations = st.sampled_from([ReLU(), Sigmoid(), Tanh(), BatchNorm()])
_convs = st.builds(
    Conv, kernel_size=_kernels, stride=_strides, channel_ratio=st.sampled_from([0.25, 0.5, 1.0, 1.5, 3.0])
)
_pools = st.builds(MaxPool, kernel_size=_pool_kernels, stride=_strides) | st.builds(
    AvgPool, kernel_size=_pool_kernels, stride=_strides | st.none()
)

table_1_layers = st.lists(_convs | _pools | _activations, min_size=1, max_size=12)
extended_layers = st.lists(
    _convs
    | _pools
    | _activations
    | st.builds(Dropout, p=st.floats(0, 0.9))
    | st.builds(Linear, out_features=st.integers(1, 64))
    | st.just(GlobalAvgPool()),
    min_size=1,
    max_size=12,
)
