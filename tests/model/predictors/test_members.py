"""The neural members as they are exported predict what they predict apart."""

import torch

from model.encoding.features import attributes, layer_features
from model.encoding.layer_code import EXTENDED, encode, pad
from model.network.schema import LAYERS
from model.network.shapes import Shape
from model.predictors.members import LayerConvNet, Members
from model.sampling.blocks import sample_blocks
from model.sampling.skeleton import assemble

IMAGE = Shape(3, 16, 16)
ODD = [
    {"type": "conv", "kernel_size": [2, 7], "stride": 3, "out_channels": 8},
    {"type": "dropout", "p": 0.3},
    {"type": "max_pool", "kernel_size": 2},
    {"type": "linear", "out_features": 12},
]


@torch.no_grad()
def test_members_in_one_predict_what_they_predict_apart():
    torch.manual_seed(0)
    members = [LayerConvNet(epochs=6, features=20).eval() for _ in range(3)]
    networks = [LAYERS.validate_python(ODD), *(assemble(block, IMAGE, 8) for block in sample_blocks(12, seed=5))]
    codes, lengths = pad([encode(layers, EXTENDED, IMAGE).codes for layers in networks])
    layers = layer_features(attributes(codes, lengths, IMAGE))
    inputs = *map(torch.from_numpy, (codes[:, :, :4].copy(), layers, lengths)), torch.randn(len(codes), 20) * 3
    expected = torch.stack([member(*inputs) for member in members])
    assert expected.std() > 0.01
    torch.testing.assert_close(Members(members)(*inputs), expected, atol=1e-5, rtol=1e-5)
