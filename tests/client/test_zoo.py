"""Models of torchvision and timm have PyTorch's parameters and FLOPs; all of them are in docs/importers.md."""

import pytest

pytest.importorskip("tests.client.torchvision_without_cuda", reason="needs torchvision")

from tests.client.zoo import measure


@pytest.mark.parametrize(
    ("library", "name"),
    [
        ("torchvision", "mobilenet_v3_small"),
        ("torchvision", "shufflenet_v2_x0_5"),
        ("torchvision", "squeezenet1_1"),
        ("torchvision", "vgg11"),
        ("timm", "resnet18"),
        ("timm", "convnext_atto"),
        ("timm", "lcnet_050"),
    ],
)
def test_parameters_and_flops_are_pytorchs(library, name):
    if library == "timm":
        pytest.importorskip("timm")
    row = measure(library, name)
    assert row.remark == ""
    assert row.params == row.torch_params
    assert row.flops == pytest.approx(row.torch_flops, rel=1e-3)


def test_what_is_not_mapped_is_said():
    pytest.importorskip("timm")
    row = measure("timm", "ecaresnet26t")
    assert (row.layers, row.params, row.flops) == (None, None, None)
    assert row.remark == "`aten.conv1d`: no layer type says that"
