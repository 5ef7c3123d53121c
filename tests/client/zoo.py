"""Import the CNN classifiers of torchvision and timm, and count their parameters and FLOPs beside PyTorch's counters.

`python -m tests.client.zoo --write docs/importers.md` fills in the page's table in half an hour. It needs an
environment with `pip install --no-deps torchvision==0.28.0 timm==1.0.31` and `pip install huggingface_hub pyyaml`.
Measured models are kept in a file (`--state`), so that a second run goes on where the first ended.
"""

import argparse
import json
import time
import warnings
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from unittest import mock

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

import peephole
from model.network.graph import costs, resolve
from model.network.shapes import Shape

NO_CNNS = ("swin", "vit", "maxvit")
TIMM = [
    *("resnet18", "resnet26", "resnet34", "resnet50", "resnet50d", "resnet26t", "resnetv2_50"),
    *("resnext50_32x4d", "wide_resnet50_2", "seresnet50", "legacy_seresnet18", "seresnext26d_32x4d"),
    *("ecaresnet26t", "skresnet18", "res2net50_26w_4s", "resnetrs50", "resnest14d", "gcresnet33ts"),
    *("densenet121", "densenet169", "vgg11", "vgg16_bn", "inception_v3", "inception_v4"),
    *("inception_resnet_v2", "xception41", "dla34", "dla46_c", "hrnet_w18_small", "dpn68", "cspresnet50"),
    *("cspdarknet53", "darknet53", "vovnet39a", "ese_vovnet19b_dw", "selecsls42b", "mobilenetv1_100"),
    *("mobilenetv2_100", "mobilenetv3_large_100", "mobilenetv3_small_100", "mobilenetv4_conv_small"),
    *("mnasnet_100", "semnasnet_100", "fbnetc_100", "spnasnet_100", "efficientnet_b0"),
    *("efficientnet_lite0", "tf_efficientnetv2_s", "mixnet_s", "rexnet_100", "hardcorenas_a", "lcnet_050"),
    *("tinynet_a", "ghostnet_100", "regnetx_002", "regnety_004", "gernet_s", "repvgg_a0", "mobileone_s0"),
    *("convnext_atto", "convmixer_768_32", "nasnetalarge", "pnasnet5large", "hgnet_tiny", "starnet_s1"),
    *("fasternet_t0", "inception_next_atto", "repghostnet_050"),
]
START, END = "<!-- table: models -->", "<!-- end -->"


@dataclass
class Row:
    """A model: what the form and PyTorch count, both without the classifier and what eval mode does not run."""

    library: str
    name: str
    size: int
    layers: int | None
    params: int | None
    flops: int | None
    torch_params: int
    torch_flops: int
    remark: str
    seconds: float


def models() -> Iterator[tuple[str, str]]:
    """Return the library and name of each model."""
    from tests.client.torchvision_without_cuda import torchvision

    for name in torchvision.models.list_models(module=torchvision.models):
        if not name.startswith(NO_CNNS):
            yield "torchvision", name
    for name in TIMM:
        yield "timm", name


def create(library: str, name: str) -> tuple[nn.Module, tuple[int, int, int]]:
    """Return a model on the meta device, without weights, and the shape of its images."""
    try:
        with torch.device("meta"):
            return _create(library, name)
    except NotImplementedError:  # it computes with tensors as it is built
        functions = [one for one in dir(nn.init) if one.endswith("_") and not one.startswith("_")]
        with mock.patch.multiple(nn.init, **dict.fromkeys(functions, lambda tensor, *_, **__: tensor)):
            model, shape = _create(library, name)
        return model.to("meta"), shape


def _create(library: str, name: str) -> tuple[nn.Module, tuple[int, int, int]]:
    from tests.client.torchvision_without_cuda import torchvision

    if library == "torchvision":
        options = {"init_weights": False} if name in {"googlenet", "inception_v3"} else {}
        side = 299 if name == "inception_v3" else 224
        return torchvision.models.get_model(name, weights=None, **options).eval(), (3, side, side)
    import timm

    model = timm.create_model(name).eval()
    return model, tuple(model.default_cfg["input_size"])


def counted(model: nn.Module, shape: tuple[int, int, int]) -> tuple[int, int]:
    """Return PyTorch's parameters and FLOPs of what eval mode runs, less the classifier.

    The classifier is the last module with parameters, if it is linear or a convolution of one position.
    """
    runs, last = [], []

    def remember(module: nn.Module, _: object, output: object) -> None:
        runs.append(module)
        if isinstance(module, nn.Conv2d | nn.Linear):
            last[:] = [(module, output)]

    hooks = [module.register_forward_hook(remember) for module in model.modules()]
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model(torch.zeros(1, *shape, device="meta"))
    for hook in hooks:
        hook.remove()
    own = {parameter for module in runs for parameter in module.parameters(recurse=False)}
    lists = {p for m in model.modules() if isinstance(m, nn.ParameterList | nn.ParameterDict) for p in m.parameters()}
    params, flops = sum(parameter.numel() for parameter in own | lists), counter.get_total_flops()
    module, output = last[0]
    if isinstance(module, nn.Linear) or output.shape[2:].numel() == 1:
        params -= sum(parameter.numel() for parameter in module.parameters())
        flops -= 2 * module.weight.numel()
    return params, flops


def measure(library: str, name: str) -> Row:
    """Import a model and count."""
    model, shape = create(library, name)
    started = time.perf_counter()
    layers = params = flops = None
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            found = peephole.from_torch(model, shape)["architectures"][0]["layers"]
            cost = costs(resolve(found, Shape(*shape)))
            layers, params, flops, remark = len(found), cost.params, cost.flops, ""
        except peephole.UnmappedError as error:
            remark = "; ".join(f"`{one.operator}`: {one.reason}" for one in error.operators)
    seconds = time.perf_counter() - started
    notes = [str(one.message) for one in caught if issubclass(one.category, peephole.ImportNote)]
    return Row(
        library,
        name,
        shape[1],
        layers,
        params,
        flops,
        *counted(model, shape),
        "; ".join([remark, *notes]).strip("; "),
        seconds,
    )


def table(rows: list[Row]) -> str:
    """Return the page's table and the sentence above it."""
    lines = []
    for library in ("torchvision", "timm"):
        own = [row for row in rows if row.library == library]
        mapped = [row for row in own if row.layers is not None]
        same = [row for row in mapped if row.params == row.torch_params]
        near = [row for row in mapped if abs(row.flops - row.torch_flops) <= 0.001 * row.torch_flops]
        lines.append(
            f"- {library}: {len(mapped)} of {len(own)} models are imported; of these {len(same)} have PyTorch's number "
            f"of parameters, {len(near)} its FLOPs within 0.1 %."
        )
    lines += [
        "",
        "| model | input | layers | parameters | PyTorch | FLOPs | PyTorch | |",
        "| --- " + "| ---: " * 6 + "| --- |",
    ]
    for row in rows:
        ours = [f"{value:,}" if value is not None else "-" for value in (row.layers, row.params, row.flops)]
        figures = (row.size, ours[0], ours[1], f"{row.torch_params:,}", ours[2], f"{row.torch_flops:,}")
        lines.append(f"| {row.library} `{row.name}` | {' | '.join(map(str, figures))} | {row.remark} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure what the state file lacks, and write the table."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--write", type=Path, metavar="PAGE", help="page whose table is replaced")
    options.add_argument("--state", type=Path, default=Path("scratch/zoo.jsonl"), help="measured models")
    options.add_argument("names", nargs="*", help="these models only; they are measured again")
    given = options.parse_args()
    given.state.parent.mkdir(parents=True, exist_ok=True)
    stored = given.state.read_text().splitlines() if given.state.exists() else []
    rows = {(row.library, row.name): row for row in (Row(**json.loads(line)) for line in stored)}
    wanted = [one for one in models() if not given.names or one[1] in given.names]
    for library, name in wanted:
        if (library, name) not in rows or given.names:
            rows[library, name] = row = measure(library, name)
            with given.state.open("a") as file:
                file.write(json.dumps(asdict(row)) + "\n")
            print(f"{library} {name}: {row.seconds:.0f} s, {row.remark or 'mapped'}", flush=True)
    text = table([rows[one] for one in models() if one in rows])
    if given.write is None:
        print(text)
        return
    before, _, rest = given.write.read_text().partition(START)
    given.write.write_text(f"{before}{START}\n{text}{END}{rest.partition(END)[2]}")


if __name__ == "__main__":
    main()
