"""Files of weights as PyTorch's tools leave them: read as the plain file is, or rejected by name."""

import copy
from collections import OrderedDict
from collections.abc import Callable, Mapping

import numpy as np
import pytest
import torch
from safetensors.torch import save
from torch import nn
from torch.ao.quantization import convert, get_default_qat_qconfig, get_default_qconfig, prepare, prepare_qat
from torch.nn.utils import parametrizations, prune

from model.weight_features import FeaturesError, Weights, features, layer_statistics
from model.weights_file import WeightsError, read_weights

State = Mapping[str, torch.Tensor]


def network(classes: int = 10) -> nn.Sequential:
    """Return a network with names that have two digits, and with biases and scales that are not those of the start."""
    torch.manual_seed(0)
    layers: list[nn.Module] = [nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU()]
    layers += [nn.Conv2d(8, 8, 3), nn.BatchNorm2d(8), nn.ReLU()] * 3
    module = nn.Sequential(*map(copy.deepcopy, layers), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, classes))
    for parameter in module.parameters():
        nn.init.normal_(parameter, mean=0.1)
    return module


def read(state: State) -> Weights:
    return read_weights(save({name: tensor.contiguous() for name, tensor in state.items()}))


def numbers(weights: Weights) -> np.ndarray:
    return np.concatenate([features(weights), layer_statistics(weights).ravel()])


def assert_same(state: State, plain: State, rtol: float = 0) -> Weights:
    """Assert that the predictor reads the same numbers in both."""
    found = read(state)
    np.testing.assert_allclose(numbers(found), numbers(read(plain)), rtol=rtol, atol=rtol / 10)
    return found


def layers_of(module: nn.Module) -> list[nn.Module]:
    return [one for one in module.modules() if isinstance(one, nn.Conv2d | nn.Linear)]


def on_each(change: Callable[[nn.Module], object]) -> Callable[[nn.Module], None]:
    def apply(module: nn.Module) -> None:
        for layer in layers_of(module):
            change(layer)

    return apply


STORED_IN_PARTS: dict[str, Callable[[nn.Module], object]] = {
    "pruned": on_each(lambda layer: prune.l1_unstructured(layer, "weight", amount=0.3)),
    "pruned channels": on_each(lambda layer: prune.ln_structured(layer, "weight", amount=0.5, n=2, dim=0)),
    "pruned biases": on_each(lambda layer: prune.random_unstructured(layer, "bias", amount=2)),
    "pruned twice": on_each(lambda layer: [prune.l1_unstructured(layer, "weight", amount=0.3) for _ in range(2)]),
    "weight norm": on_each(parametrizations.weight_norm),
    "weight norm of all": on_each(lambda layer: parametrizations.weight_norm(layer, dim=None)),
    "weight norm of inputs": on_each(lambda layer: parametrizations.weight_norm(layer, dim=1)),
    "spectral norm": on_each(parametrizations.spectral_norm),
    "old weight norm": on_each(nn.utils.weight_norm),
    "old spectral norm": on_each(nn.utils.spectral_norm),
}


@pytest.mark.parametrize("change", STORED_IN_PARTS.values(), ids=STORED_IN_PARTS.keys())
@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_weights_in_parts_read_as_the_network_uses_them(change: Callable[[nn.Module], object]) -> None:
    """The plain file has the weights that the changed module computes with."""
    module = network()
    change(module)
    module.eval()
    module(torch.randn(2, 3, 16, 16))  # the old forms make their weight in a pass
    plain = {name: tensor for name, tensor in network().state_dict().items() if "weight" not in name}
    for name, part in module.named_modules():
        for kind in ("weight", "bias"):
            if isinstance(getattr(part, kind, None), torch.Tensor):
                plain[f"{name}.{kind}"] = getattr(part, kind).detach()
    assert not set(plain) <= set(module.state_dict())
    assert_same(module.state_dict(), plain, rtol=1e-4)


def test_masks_may_be_of_any_type() -> None:
    module = network()
    on_each(lambda layer: prune.l1_unstructured(layer, "weight", amount=0.3))(module)
    state = module.state_dict()
    for kind in (torch.bool, torch.uint8):
        assert_same({name: t.to(kind) if "mask" in name else t for name, t in state.items()}, state)


PREFIXES = ("module.", "_orig_mod.", "_orig_mod.module.", "model.", "state_dict.net.backbone.", "ema.")


@pytest.mark.parametrize("prefix", PREFIXES)
def test_a_prefix_on_every_name_changes_nothing(prefix: str) -> None:
    state = network().state_dict()
    assert_same({prefix + name: tensor for name, tensor in state.items()}, state)


def test_averaged_weights_alone_are_read() -> None:
    """`AveragedModel` counts what it averaged."""
    averaged = torch.optim.swa_utils.AveragedModel(network())
    assert "n_averaged" in averaged.state_dict()
    assert_same(averaged.state_dict(), network().state_dict())


@pytest.mark.parametrize("calibrated", [False, True])
def test_observers_are_not_read(calibrated: bool) -> None:
    """Those of quantisation hold endless or no values before they see images."""
    for make, config in ((prepare, get_default_qconfig), (prepare_qat, get_default_qat_qconfig)):
        module = network().train(make is prepare_qat)
        module.qconfig = config("fbgemm")
        observed = make(module)
        if calibrated:
            observed.eval()(torch.randn(2, 3, 16, 16))
        assert any("activation_post_process" in name for name in observed.state_dict())
        assert_same(observed.state_dict(), network().state_dict())


def test_bfloat16_is_read_as_the_floats_that_it_stands_for() -> None:
    half = {name: tensor.bfloat16() for name, tensor in network().state_dict().items()}
    assert_same(half, {name: tensor.float() for name, tensor in half.items()})


def test_what_is_no_parameter_is_noted() -> None:
    state = network().state_dict()
    others = {"optimizer.0.exp_avg": torch.ones(3), "scale": torch.ones(()), "criterion.weight": torch.ones(10)}
    assert assert_same(state | others, state).notes == ("not read: criterion.weight, optimizer.0.exp_avg, scale",)
    assert read(state).notes == ()


def convolutions(names: list[str]) -> list[str]:
    """Return names of layers in the order in which they are read; each has values of its own."""
    names_by_value = dict(enumerate(names))
    shuffled = sorted(names_by_value, key=lambda number: hash((number, 7)))
    state = {f"{names_by_value[number]}.weight": torch.full((2, 2, 1, 1), float(number)) for number in shuffled}
    units = layer_statistics(read(state))[:, 4]  # the mean, in units of the initial deviation
    return [names_by_value[round(float(unit))] for unit in units]


ORDERS = {
    "digits": ["conv1", "conv2", "conv10", "fc1", "fc2", "fc10"],
    "blocks": ["layer2.1.conv1", "layer2.2.conv1", "layer2.10.conv1", "layer10.0.conv1"],
    "DenseNet": [
        "features.conv0",
        "features.denseblock1",
        "features.transition1",
        "features.denseblock2",
        "classifier",
    ],
    "numbers in numbers": ["conv1_1", "conv1_2", "conv2_1", "conv2_10", "fc6"],
    "squeeze and excite": ["blocks.0.conv", "blocks.0.se.fc", "blocks.1.conv", "blocks.1.se.fc", "head"],
    "stem": ["conv_stem", "blocks.0", "blocks.1", "conv_head", "classifier"],
}


@pytest.mark.parametrize("names", ORDERS.values(), ids=ORDERS.keys())
def test_layers_are_read_in_the_order_that_names_tell(names: list[str]) -> None:
    assert convolutions(names) == names


def test_common_names_read_as_numbered_ones() -> None:
    """A convolution and its normalisation, each named by kind and number, stand side by side."""
    state = network().state_dict()
    common = {0: "conv1", 1: "bn1", 3: "conv2", 4: "bn2", 6: "conv3", 7: "bn3", 9: "conv4", 10: "bn4", 14: "fc"}
    renamed = {}
    for name, tensor in state.items():
        number, _, last = name.partition(".")
        renamed[f"{common[int(number)]}.{last}"] = tensor
    assert_same(renamed, state)


def quantised() -> State:
    """Return a network after `convert`, as integers: safetensors holds no quantised tensors."""
    module = network().eval()
    module.qconfig = get_default_qconfig("fbgemm")
    prepared = prepare(nn.Sequential(OrderedDict(quant=torch.ao.quantization.QuantStub(), body=module)))
    prepared(torch.randn(2, 3, 16, 16))
    prepared.qconfig = None
    state = convert(prepared).state_dict()
    tensors = {name: tensor for name, tensor in state.items() if isinstance(tensor, torch.Tensor)}
    return {name: tensor.int_repr() if tensor.is_quantized else tensor for name, tensor in tensors.items()}


def sparsified() -> State:
    module = network()
    sparsifier = torch.ao.pruning.WeightNormSparsifier(sparsity_level=0.5)
    sparsifier.prepare(module, [{"tensor_fqn": "14.weight"}])
    return module.state_dict()


def changed(tensors: State) -> State:
    """Return a network with further tensors, or with others in place."""
    return network().state_dict() | dict(tensors)


EIGHT = torch.ones(8, 8, dtype=torch.int8)
REJECTED: dict[str, tuple[Callable[[], State], str]] = {
    "quantised by torch": (quantised, "quantised weights, .*: body.0.weight"),
    "8-bit floats": (
        lambda: {name: t.to(torch.float8_e4m3fn) for name, t in network().state_dict().items()},
        "quantised weights, .*: 0.bias, 0.weight",
    ),
    "bitsandbytes": (
        lambda: changed({"14.weight": EIGHT, "14.SCB": torch.ones(8)}),
        "quantised weights, .*: 14.weight",
    ),
    "packed": (lambda: changed({"14.qweight": EIGHT}), "quantised weights, .*: 14.qweight"),
    "torchao": (lambda: changed({"14.weight.tensor_impl.int_data": EIGHT}), "quantised .*: 14.weight.tensor_impl.int"),
    "a part is missing": (
        lambda: changed({"14.weight_g": torch.ones(10, 1)}),
        "not understood: 14.weight, 14.weight_g",
    ),
    "a mask of another shape": (
        lambda: changed({"14.weight_mask": torch.ones(1, 8)}),
        "not understood: 14.weight, 14.weight_mask",
    ),
    "a norm of another shape": (
        lambda: {"0.weight_v": torch.ones(4, 3, 3, 3), "0.weight_g": torch.ones(3)},
        "not understood: 0.weight_g, 0.weight_v",
    ),
    "another parametrisation": (
        lambda: nn.Sequential(parametrizations.orthogonal(nn.Linear(4, 4))).state_dict(),
        "not understood: 0.parametrizations.weight.0.base, 0.parametrizations.weight.original",
    ),
    "pruned by torch.ao, which stores no masks": (
        sparsified,
        "not understood: 14.parametrizations.weight.original;",
    ),
    "two parametrisations": (
        lambda: nn.Sequential(
            parametrizations.spectral_norm(parametrizations.spectral_norm(nn.Linear(4, 4)))
        ).state_dict(),
        "not understood: 0.parametrizations.weight.1._u",
    ),
    "low-rank adapters": (lambda: changed({"14.lora_A.default.weight": torch.ones(2, 8)}), "not understood: 14.lora_A"),
    "a recurrent layer": (lambda: nn.LSTM(4, 4).state_dict(), "not understood: bias_hh_l0, bias_ih_l0"),
    "moments beside weights": (lambda: changed({"14.weight.exp_avg": torch.ones(1)}), "not understood: 14.weight.exp"),
    "averages beside weights": (lambda: changed({"14.weight_ema": torch.ones(1)}), "not understood: 14.weight_ema"),
}


@pytest.mark.parametrize(("make", "message"), REJECTED.values(), ids=REJECTED.keys())
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_what_is_not_understood_is_rejected_by_name(make: Callable[[], State], message: str) -> None:
    with pytest.raises(FeaturesError, match=message):
        read(make())


def under(**networks: nn.Module) -> State:
    """Return the tensors of several networks, each under its prefix; `_` is no prefix."""
    return {
        f"{prefix}.{name}".removeprefix("_."): tensor
        for prefix, module in networks.items()
        for name, tensor in module.state_dict().items()
    }


SEVERAL: dict[str, Callable[[], State]] = {
    "averages and weights": lambda: under(_=network(), ema=network()),
    "averages under module": lambda: under(model=network(), ema=nn.ModuleDict({"module": network()})),
    "nested": lambda: under(state=nn.ModuleDict({"model": network(), "model_ema": network()})),
    "a teacher of another size": lambda: under(student=network(), teacher=network()[:6].append(nn.Linear(8, 10))),
    "a teacher under a prefix": lambda: under(_=network(), teacher=network()[:6].append(nn.Linear(8, 10))),
    "an ensemble": lambda: under(models=nn.ModuleList([network(), network(), network()])),
    "copies with something else": lambda: under(student=network(), teacher=network(), loss=nn.Linear(2, 2)),
    "optimiser's moments": lambda: under(_=network(), exp_avg=network(), exp_avg_sq=network()),
    "moments under one prefix": lambda: under(
        _=network(), optimizer=nn.ModuleDict({"exp_avg": network(), "exp_avg_sq": network()})
    ),
    "copies without images": lambda: under(
        _=nn.Sequential(nn.Linear(4, 9), nn.Linear(9, 2)), ema=nn.Sequential(nn.Linear(4, 9), nn.Linear(9, 2))
    ),
    "equal parts without images": lambda: under(
        a=nn.Sequential(nn.Linear(4, 9), nn.Linear(9, 2)), b=nn.Sequential(nn.Linear(4, 9), nn.Linear(9, 2))
    ),
}


@pytest.mark.parametrize("make", SEVERAL.values(), ids=SEVERAL.keys())
def test_several_networks_in_a_file_are_rejected(make: Callable[[], State]) -> None:
    with pytest.raises(FeaturesError, match="several networks in one file"):
        read(make())


def block(width: int) -> nn.Sequential:
    """Return a block as ConvNeXt has them: it begins with one input channel and ends in a linear layer."""
    return nn.Sequential(
        nn.Conv2d(width, width, 7, groups=width), nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
    )


ONE: dict[str, Callable[[], State]] = {
    "equal blocks": lambda: under(stem=nn.Conv2d(3, 8, 4), a=block(8), b=block(8), head=nn.Linear(8, 10)),
    "equal blocks alone": lambda: under(a=block(8), b=block(8)),
    "a chain of equal layers": lambda: nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4)).state_dict(),
    "a classifier of several layers": lambda: under(
        features=nn.Sequential(nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, 3)),
        classifier=nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 8), nn.Linear(8, 10)),
    ),
    "a backbone with its classifier, and another": lambda: under(net=network(1000), fc=nn.Linear(1000, 10)),
    "transformer blocks": lambda: nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 16), 2).state_dict(),
}


@pytest.mark.parametrize("make", ONE.values(), ids=ONE.keys())
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_blocks_and_branches_are_one_network(make: Callable[[], State]) -> None:
    assert read(make()).notes == ()


def test_values_that_are_not_finite_are_named_as_the_file_names_them() -> None:
    module = nn.Sequential(parametrizations.weight_norm(nn.Linear(2, 2)))
    with torch.no_grad():
        module[0].parametrizations.weight.original1[0] = torch.inf
    with pytest.raises(WeightsError, match=r"over 1e\+38: 0.parametrizations.weight.original1$"):
        read(module.state_dict())
    with torch.no_grad():
        module[0].parametrizations.weight.original1[0] = 0
    with pytest.raises(WeightsError, match=r"over 1e\+38: 0.weight$"):
        read(module.state_dict())


def test_long_and_odd_names_are_cut_in_messages() -> None:
    odd = "\u00e9\n<script>" + 100 * "x" + "_weight"
    with pytest.raises(FeaturesError) as found:
        read(changed({odd: torch.ones(1)}) | {f"weight_{i}": torch.ones(1) for i in range(6)})
    said = str(found.value)
    assert not {"\n", "<", "\u00e9"} & set(said)
    assert 60 * "x" not in said
    assert "(and 2 more)" in said
