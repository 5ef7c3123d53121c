"""PyTorch modules become networks that compute the same; what cannot be said is reported at once."""

import json
import warnings
from functools import cache

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import peephole
from model.network.graph import costs, resolve
from model.network.hashing import canonical_hash
from model.network.schema import ARCHITECTURE
from model.network.shapes import Shape
from model.torch_modules import build
from tests.client.networks import MODULES
from tests.docs.pages import code_blocks, read

INPUT = (3, 16, 16)


def layers_of(module, shape=INPUT):
    """Import a module without a note, and return its layers."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", peephole.ImportNote)
        return peephole.from_torch(module, shape)["architectures"][0]["layers"]


@cache
def imported(kind):
    """Return the layers of one of `MODULES`."""
    return layers_of(kind())


def in_order_of_use(module, images):
    """Return the parameters and running statistics of modules in the order in which they run, lone parameters last."""
    used = []
    hooks = [one.register_forward_hook(lambda one, *_: used.append(one)) for one in module.modules()]
    module.features(images)
    for hook in hooks:
        hook.remove()
    found = [tensor for one in used if one is not module for tensor in tensors_of(one)]
    return [*found, *module.parameters(recurse=False)]


def tensors_of(module):
    own = [*module.parameters(recurse=False), *module.buffers(recurse=False)]
    return [tensor for tensor in own if tensor.is_floating_point()]


@pytest.mark.parametrize("kind", MODULES, ids=lambda kind: kind.__name__)
def test_the_imported_network_computes_the_same(kind):
    """Built again from its layers, and with the module's weights, it returns the module's features."""
    torch.manual_seed(0)
    module = kind().eval()
    for tensor in module.buffers():
        tensor.copy_(torch.rand(tensor.shape)) if tensor.is_floating_point() else None
    layers = imported(kind)
    network = build(layers, Shape(*INPUT), 10).eval()
    images = torch.randn(2, *INPUT)
    with torch.no_grad():
        weights = in_order_of_use(module, images)
        if kind.__name__ == "SamePadding":  # the standardised weight is used second
            weight = weights.pop()
            weights.insert(2, weight - weight.mean((1, 2, 3), keepdim=True))
        slots = [tensor for layer in network.layers for tensor in tensors_of(layer)]
        assert [slot.numel() for slot in slots] == [weight.numel() for weight in weights]
        for slot, weight in zip(slots, weights, strict=True):
            slot.copy_(weight.reshape(slot.shape))
        wanted = module.features(images)
        found = network.features(images)
    wanted = wanted.flatten(2).mean(2) if wanted.ndim == 4 else wanted
    torch.testing.assert_close(found, wanted)


@pytest.mark.parametrize("kind", MODULES, ids=lambda kind: kind.__name__)
def test_parameters_are_pytorchs_less_the_classifier(kind):
    module = kind()
    count = sum(one.numel() for one in module.parameters()) - sum(one.numel() for one in module.head.parameters())
    assert costs(resolve(imported(kind), Shape(*INPUT))).params == count


def test_the_request_is_json_that_the_form_accepts():
    request = peephole.from_torch(MODULES[0](), INPUT, name="mine")
    assert json.loads(json.dumps(request)) == request
    assert request["input"] == [3, 16, 16]
    (network,) = request["architectures"]
    assert network["id"] == "mine"
    ARCHITECTURE.validate_python(network)


def test_layers_are_written_as_people_write_them():
    layers = imported(MODULES[0])
    assert layers[:4] == [
        {"type": "conv", "kernel_size": 3, "out_channels": 8},
        {"type": "batch_norm"},
        {"type": "relu", "name": "stem.2"},
        {"type": "conv", "kernel_size": 3, "out_channels": 16, "stride": 2, "padding": 1},
    ]
    assert layers[-2:] == [{"type": "global_avg_pool"}, {"type": "dropout", "p": 0.3}]
    names = [layer["name"] for layer in layers if "name" in layer]
    assert names == ["stem.2", "first.2", "project.1", "add", "second.1"]


def test_patterns_become_one_layer():
    types = [layer["type"] for layer in imported(MODULES[1])]
    assert types == [
        *("conv", "silu", "conv", "hard_swish", "global_avg_pool", "linear", "relu", "linear", "hard_sigmoid", "mul"),
        *("conv", "global_avg_pool"),
    ]
    types = [layer["type"] for layer in imported(MODULES[2])]
    assert types == [
        *("conv", "slice", "slice", "conv", "leaky_relu", "concat", "channel_shuffle", "slice", "slice", "conv"),
        *("concat", "max_pool", "global_avg_pool"),
    ]
    types = [layer["type"] for layer in imported(MODULES[3])]
    assert types == ["conv", "conv", "layer_norm", "conv", "gelu", "conv", "scale", "add", "global_avg_pool"]


def test_padding_is_part_of_the_window_where_it_can_be():
    layers = imported(MODULES[4])
    assert layers[0] == {"type": "conv", "kernel_size": 3, "out_channels": 8, "stride": 2}
    assert {"type": "max_pool", "kernel_size": 3, "stride": 2} in layers
    assert {"type": "pad", "padding": [2, 0, 2, 0]} in layers


NETWORKS = {
    "all kinds of convolutions": [
        {"type": "conv", "kernel_size": [3, 1], "out_channels": 6, "padding": [1, 0], "bias": False},
        {"type": "relu", "name": "r"},
        {"type": "conv", "kernel_size": 5, "out_channels": 6, "stride": 2, "dilation": 2, "padding": 4},
        {"type": "conv", "kernel_size": 3, "out_channels": 12, "groups": "depthwise"},
        {"type": "batch_norm"},
        {"type": "conv", "kernel_size": 4, "out_channels": 8},
    ],
    "merges": [
        {"type": "conv", "kernel_size": 3, "out_channels": 6, "name": "a"},
        {"type": "silu", "name": "b"},
        {"type": "mul", "inputs": ["a", "b"], "name": "c"},
        {"type": "concat", "inputs": ["a", "c", "b"]},
        {"type": "channel_shuffle", "groups": 3},
        {"type": "slice", "start": 2, "end": 11, "name": "d"},
        {"type": "global_avg_pool"},
        {"type": "sigmoid"},
        {"type": "mul", "inputs": ["layer7", "d"]},
    ],
    "pools and norms": [
        {"type": "conv", "kernel_size": 3, "out_channels": 6},
        {"type": "max_pool", "kernel_size": 3, "stride": 2},
        {"type": "group_norm", "num_groups": 2},
        {"type": "layer_norm"},
        {"type": "scale"},
        {"type": "prelu"},
        {"type": "avg_pool", "kernel_size": 3, "stride": 1, "padding": 1, "count_include_pad": True},
        {"type": "upsample", "scale_factor": 2},
        {"type": "adaptive_avg_pool", "output_size": 4},
        {"type": "elu"},
        {"type": "flatten"},
        {"type": "linear", "out_features": 7},
        {"type": "softmax"},
        {"type": "hard_sigmoid"},
    ],
}
NETWORKS["merges"][7]["name"] = "layer7"


@pytest.mark.parametrize("layers", NETWORKS.values(), ids=NETWORKS)
def test_a_module_that_is_built_from_a_network_is_read_as_that_network(layers):
    """But for the mean that the built module has before its classifier, and a flattening that `linear` does itself."""
    image = Shape(*INPUT)
    found = layers_of(build(layers, image, 10))
    if found[-1]["type"] == "global_avg_pool":
        found = found[:-1]
    expected = [layer for layer in layers if layer["type"] != "flatten"]
    assert canonical_hash(found, image) == canonical_hash(expected, image)


def test_weights_may_be_absent_and_modes_stay():
    with torch.device("meta"):
        module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Dropout(0.0), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 5))
    module[1].eval()
    assert [layer["type"] for layer in layers_of(module, (3, 8, 8))] == ["conv", "relu"]
    assert [one.training for one in module] == [True, False, True, True, True]


class Tempered(nn.Module):
    """Probabilities of logits."""

    def forward(self, x):
        return F.softmax(x / 4, dim=1)


def test_only_the_final_linear_layer_is_the_classifier():
    squeezenet = nn.Sequential(nn.Conv2d(3, 5, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    assert [layer["type"] for layer in layers_of(squeezenet)] == ["conv", "relu", "global_avg_pool"]
    point = nn.Sequential(nn.Conv2d(3, 5, 1), nn.AdaptiveAvgPool2d(1), nn.Conv2d(5, 10, 1), nn.Flatten())
    assert [layer["type"] for layer in layers_of(point)] == ["conv", "global_avg_pool"]
    scaled = nn.Sequential(point, Tempered())
    assert [layer["type"] for layer in layers_of(scaled)] == ["conv", "global_avg_pool"]


class Odd(nn.Module):
    """Three things that the form lacks, one of them twice, and two that follow from them."""

    def __init__(self):
        super().__init__()
        self.across = nn.ModuleList(nn.Conv1d(1, 1, 3, padding=1) for _ in range(2))
        self.conv = nn.Conv2d(3, 6, 3, padding=1)

    def forward(self, x):
        x = self.conv(x)
        for conv in self.across:
            gate = conv(x.mean((2, 3)).unsqueeze(1)).transpose(1, 2).unsqueeze(3)
            x = x * torch.sigmoid(gate)
        x = F.interpolate(x, scale_factor=2, mode="bilinear")
        return F.softmax(x.flatten(2), dim=-1).sum(1)


def test_everything_unmapped_is_reported_at_once():
    with pytest.raises(peephole.UnmappedError) as caught:
        peephole.from_torch(Odd(), INPUT)
    found = {one.operator: list(one.places) for one in caught.value.operators}
    assert found == {
        "aten.conv1d": ["across.0", "across.1"],
        "aten.upsample_bilinear2d": [""],
        "aten.softmax": [""],
        "aten.sum": [""],
    }
    assert "aten.conv1d (2 times, in across.0, across.1): no layer type says that" in str(caught.value)


class Function(nn.Module):
    """A function of a convolution's output as a module."""

    def __init__(self, function):
        super().__init__()
        self.conv, self.function = nn.Conv2d(3, 6, 3), function

    def forward(self, x):
        return self.function(self.conv(x))


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (lambda x: F.pad(x, (-1, 1, 0, 0)), "aten.pad (1 time, in the model itself): cropping cannot be expressed"),
        (lambda x: F.pad(x, (1, 1, 1, 1), mode="reflect"), "reflect padding cannot be expressed"),
        (lambda x: x - x.mean((2, 3), keepdim=True), "differences of tensors cannot be expressed"),
        (lambda x: x + x.mean((2, 3), keepdim=True), "sums of tensors of two sizes cannot be expressed"),
        (lambda x: x * x.mean(1, keepdim=True), "means over other dimensions than height and width"),
        (lambda x: x.transpose(2, 3).relu() + x, "the axes of its inputs do not correspond"),
        (lambda x: x[:, ::2], "slices with steps cannot be expressed"),
        (lambda x: x[:, :, 1:], "only channels can be sliced"),
        (lambda x: x.clamp(-1, 1), "limits of -1 and 1 are none of relu and relu6"),
        (lambda x: F.conv2d(x, x.mean(0, keepdim=True)), "means over other dimensions"),
        (lambda x: F.max_pool2d(x, 3, dilation=2), "dilated pools cannot be expressed"),
        (lambda x: F.conv_transpose2d(x, torch.ones(6, 6, 2, 2)), "aten.conv_transpose2d"),
        (lambda x: torch.cat([x[:, :3].relu_(), x], 1), "it changes a part of a tensor in place"),
    ],
)
def test_what_the_form_lacks_is_named(function, said):
    with pytest.raises(peephole.UnmappedError) as caught:
        peephole.from_torch(Function(function), INPUT)
    assert said in str(caught.value)


def test_constant_factors_are_left_out_with_a_note():
    with pytest.warns(peephole.ImportNote, match=r"constant factors and terms are left out \(1\)"):
        request = peephole.from_torch(Function(lambda x: (x * 0.3).relu()), INPUT)
    assert [layer["type"] for layer in request["architectures"][0]["layers"]] == ["conv", "relu"]


def test_parameters_that_the_form_does_not_count_are_noted():
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4, affine=False), nn.ReLU())
    with pytest.warns(peephole.ImportNote, match="of the 112 parameters that the network reads, the form counts 120"):
        peephole.from_torch(module, INPUT)


class Scripted(nn.Module):
    """Holds a scripted module."""

    def __init__(self):
        super().__init__()
        self.conv = torch.jit.script(nn.Conv2d(3, 4, 3))

    def forward(self, x):
        return self.conv(x).relu()


@pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated")
def test_symbolic_tracing_reads_what_export_rejects():
    """There the weights are no parameters any more, which is said."""
    module = Scripted()
    with pytest.raises(TypeError):
        torch.export.export(module, (torch.zeros(1, *INPUT),))
    with pytest.warns(peephole.ImportNote, match="of the 0 parameters that the network reads, the form counts 112"):
        request = peephole.from_torch(module, INPUT)
    assert [layer["type"] for layer in request["architectures"][0]["layers"]] == ["conv", "relu"]


class Branching(nn.Module):
    def forward(self, x):
        return x if x.sum() > 0 else -x


@pytest.mark.parametrize(
    ("module", "said"),
    [
        (Branching(), "the module cannot be exported: "),
        (nn.Sequential(nn.Flatten(), nn.Linear(3 * 16 * 16, 10)), "the model holds nothing but a classifier"),
        (Function(lambda x: (x, x.relu())), "the module returns 2 tensors, not one"),
        (Function(lambda _: torch.zeros(2)), "the model returns no tensor that depends on its input"),
        (nn.Conv2d(3, 4, 20), "the module cannot be exported: "),
    ],
    ids=["branching", "classifier", "two outputs", "no output", "too small an image"],
)
def test_a_module_that_is_no_network_is_rejected(module, said):
    with pytest.raises(ValueError, match=said):
        peephole.from_torch(module, INPUT)


def test_the_page_s_example_runs():
    (block,) = code_blocks(read("docs/importers.md"), "python")
    exec(block, {})
