"""Stages of mobile inverted bottlenecks, as in MnasNet, EfficientNet, Accel-NASBench and once-for-all."""

from collections.abc import Mapping, Sequence
from typing import Any

from ..schema import Layer
from .builder import IMAGE_INDEX, Builder, NotationError

OFA_WIDTHS = (24, 40, 80, 112, 160)
OFA_STRIDES = (2, 2, 2, 1, 2)
OFA_ACTIVATIONS = ("relu", "relu", "hard_swish", "hard_swish", "hard_swish")
OFA_SE = (False, True, False, True, True)
OFA_BLOCKS = 4  # of a stage, at most
_FIELDS = ("out", "kernel", "expand", "layers", "stride", "se")


def mbconv(
    stages: Sequence[Mapping[str, Any]], *, stem: int = 32, head: int = 1280, activation: str = "silu"
) -> list[Layer]:
    """Return a network of stages of inverted bottlenecks (Accel-NASBench, Ahmad et al. 2024, appendix B).

    A 3x3 convolution of stride 2, the stages, a 1x1 convolution, mean over all positions. A block expands (not at
    `expand` 1), convolves depthwise, squeezes to a fourth of its input's channels if `se`, projects, and adds its input
    where the shapes are equal.

    Args:
        stages: objects with `out` (channels) and `kernel`; `expand` (1), `layers` (1), `stride` of the first block (1)
            and `se` (false); `in` is checked, `op` must be `mbconv`.
        stem: channels of the first convolution.
        head: channels of the last one; 0: there is none.
        activation: a layer type. The benchmark's tables do not say; it is EfficientNet's.

    Raises:
        NotationError: naming the stage and field at fault.
    """
    net = Builder()
    made, width = _conv_bn_act(net, IMAGE_INDEX, 3, stem, activation, 2), stem
    for place, stage in enumerate(stages):
        checked = _checked(stage, place, width)
        for block in range(checked["layers"]):
            made = _block(
                net,
                made,
                (width, width * checked["expand"], checked["out"]),
                checked["kernel"],
                checked["stride"] if block == 0 else 1,
                activation,
                squeeze=max(1, width // 4) if checked["se"] else 0,
            )
            width = checked["out"]
    if head:
        made = _conv_bn_act(net, made, 1, head, activation)
    net.add("global_avg_pool", made)
    return net.layers()


def _checked(stage: Mapping[str, Any], place: int, width: int) -> dict[str, int]:
    if stage.get("op", "mbconv") != "mbconv":
        raise NotationError(f"stages/{place}/op: must be mbconv")
    if stage.get("in", width) != width:
        raise NotationError(f"stages/{place}/in: the stage before makes {width} channels")
    unknown = set(stage) - {*_FIELDS, "op", "in"}
    if unknown:
        raise NotationError(f"stages/{place}: the fields are {', '.join(_FIELDS)}, in and op")
    found = {"expand": 1, "layers": 1, "stride": 1, "se": False} | {
        name: stage[name] for name in _FIELDS if name in stage
    }
    for name in _FIELDS:
        if name not in found:
            raise NotationError(f"stages/{place}/{name}: is missing")
        if not isinstance(found[name], int) or found[name] < (name != "se"):
            raise NotationError(f"stages/{place}/{name}: must be {'true or false' if name == 'se' else 'an integer'}")
    return found


def once_for_all(ks: Sequence[int], e: Sequence[int], d: Sequence[int], *, width: float = 1.0) -> list[Layer]:
    """Return a subnetwork of the MobileNetV3 supernet (Cai et al., Once-for-All, 2020, section 4).

    Args:
        ks: kernel sizes of the 20 blocks; those beyond a stage's depth are not used.
        e: their expansion ratios.
        d: number of blocks of the five stages, up to 4.
        width: multiplier of all channels.

    Raises:
        NotationError: naming the list at fault.
    """
    stages = len(OFA_WIDTHS)
    for name, given, count in (("ks", ks, stages * OFA_BLOCKS), ("e", e, stages * OFA_BLOCKS), ("d", d, stages)):
        if len(given) != count or not all(isinstance(one, int) and one > 0 for one in given):
            raise NotationError(f"{name}: must be {count} integers of at least 1")
    if max(d) > OFA_BLOCKS:
        raise NotationError(f"d/{d.index(max(d))}: a stage has up to {OFA_BLOCKS} blocks")
    net = Builder()
    channels = divisible(16 * width)
    made = _conv_bn_act(net, IMAGE_INDEX, 3, channels, "hard_swish", 2)
    made = _block(net, made, (channels, channels, channels), 3, 1, "relu")
    for stage, base in enumerate(OFA_WIDTHS):
        for block in range(d[stage]):
            place = stage * OFA_BLOCKS + block
            middle, out = divisible(channels * e[place]), divisible(base * width)
            made = _block(
                net,
                made,
                (channels, middle, out),
                ks[place],
                OFA_STRIDES[stage] if block == 0 else 1,
                OFA_ACTIVATIONS[stage],
                squeeze=divisible(middle // 4) if OFA_SE[stage] else 0,
                gate=("relu", "hard_sigmoid"),
            )
            channels = out
    made = _conv_bn_act(net, made, 1, divisible(960 * width), "hard_swish")
    pooled = net.add("global_avg_pool", made)
    net.add("hard_swish", net.conv(pooled, 1, divisible(1280 * width), bias=False))
    return net.layers()


def divisible(channels: float, by: int = 8) -> int:
    """Return the multiple of `by` that is nearest to a number of channels, at least 90 % of it."""
    nearest = max(by, int(channels + by / 2) // by * by)
    return nearest + by if nearest < 0.9 * channels else nearest


def _conv_bn_act(net: Builder, read: int, kernel: int, channels: int, activation: str, stride: int = 1) -> int:
    return net.add(activation, net.conv_bn(read, kernel, channels, stride))


def _block(
    net: Builder,
    read: int,
    widths: tuple[int, int, int],
    kernel: int,
    stride: int,
    activation: str,
    *,
    squeeze: int = 0,
    gate: tuple[str, str] | None = None,
) -> int:
    """Append an inverted bottleneck.

    Args:
        net: to append to.
        read: layer that it reads.
        widths: channels of the input, of the depthwise convolution and of the output.
        kernel: of the depthwise convolution.
        stride: of it.
        activation: behind the first two convolutions.
        squeeze: channels of the squeeze-and-excite branch; 0: there is none.
        gate: activations of that branch.
    """
    before, middle, after = widths
    made = read if middle == before else _conv_bn_act(net, read, 1, middle, activation)
    made = net.add(activation, net.conv_bn(made, kernel, middle, stride, groups="depthwise"))
    if squeeze:
        inner, outer = gate or (activation, "sigmoid")
        pooled = net.add("global_avg_pool", made)
        excited = net.conv(net.add(inner, net.conv(pooled, 1, squeeze)), 1, middle)
        made = net.add("mul", made, net.add(outer, excited))
    made = net.conv_bn(made, 1, after)
    return net.add("add", made, read) if stride == 1 and before == after else made
