"""Train one network under a protocol and record what later work needs."""

import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache, partial
from pathlib import Path

import torch
from torch import nn

from model.network.graph import costs, resolve
from model.network.schema import Layer
from model.proxies.measure import IMAGES, measure_layers
from model.torch_modules import build
from model.weight_features import LARGEST, tensor_statistics
from training.measuring.datasets import Images
from training.measuring.steps import EagerStep, Step, fastest
from training.observations.observation import Observation
from training.protocols import TrainingProtocol

CHANCE_SIGMAS = 5.0
FEW_CHANNELS = 16  # twice what is known to go wrong
SIGNIFICANT_DIGITS = 6  # of the statistics of weights


class OutOfTimeError(Exception):
    """The deadline passed before the network was trained."""


@dataclass(frozen=True)
class _Run:
    network: nn.Module
    step: Step
    total: torch.Tensor
    batch_size: int
    deadline: float


@cache
def device_name(device: str) -> str:
    """Describe the device that trains, for the record."""
    if device.startswith("cuda"):
        return torch.cuda.get_device_name(device)
    for line in Path("/proc/cpuinfo").read_text().splitlines() if platform.system() == "Linux" else ():
        if line.startswith("model name"):
            return f"{line.split(':', 1)[1].strip()}, {torch.get_num_threads()} thread"
    return platform.processor() or platform.machine()


@torch.no_grad()
def measure_accuracy(network: nn.Module, validation: Images, batch_size: int = 500) -> float:
    """Return the share of validation images classified correctly."""
    network.eval()
    right = torch.zeros((), dtype=torch.int64, device=validation.labels.device)
    for images, labels in zip(validation.images.split(batch_size), validation.labels.split(batch_size), strict=True):
        right += (network(images).argmax(1) == labels).sum()
    return int(right) / len(validation.labels)


def _train_epoch(run: _Run, order: torch.Tensor) -> float:
    """Return the mean training loss of one pass over the images in that order."""
    run.network.train()
    run.total.zero_()
    for chosen in order.split(run.batch_size):
        if time.time() > run.deadline:
            raise OutOfTimeError
        run.step(chosen)
    return float(run.total) / len(order)


def is_chance(accuracy: float, labels: torch.Tensor) -> bool:
    """Whether an accuracy is no better than always answering one class, within sampling error."""
    share = float(torch.bincount(labels).max()) / len(labels)
    return bool(accuracy <= share + CHANCE_SIGMAS * (share * (1 - share) / len(labels)) ** 0.5)


@torch.no_grad()
def weight_statistics(network: nn.Module) -> dict[str, list[float]]:
    """Return `model.weight_features.tensor_statistics` of each parameter tensor, rounded.

    Tensors are named as in the module: `layer3.weight` belongs to the layer at index 3 of the layer list,
    `head.bias` to the classifier. A tensor with a value that is not finite has no entry.
    """
    tensors = {name: tensor.float() for name, tensor in network.named_parameters() if tensor.abs().max() <= LARGEST}
    statistics = tensor_statistics({name: tensor.cpu().numpy() for name, tensor in tensors.items()})
    return {name: [float(f"{value:.{SIGNIFICANT_DIGITS}g}") for value in values] for name, values in statistics.items()}


def stride_before(network: nn.Module) -> None:
    """Let strided 1x1 convolutions of few channels read a sparser map with a stride of 1, which computes the same.

    On the way back oneDNN writes beyond its buffers for those in channels-last format, with fewer than 8 channels on
    processors without AVX-512: the process dies, or goes on with damaged memory.
    """
    for module in network.modules():
        if not isinstance(module, nn.Conv2d) or module.kernel_size != (1, 1) or module.stride == (1, 1):
            continue
        if module.in_channels < FEW_CHANNELS and module.padding == (0, 0):
            rows, columns = module.stride
            module.register_forward_pre_hook(partial(_every, rows, columns))
            module.stride = (1, 1)


def _every(rows: int, columns: int, _: nn.Module, inputs: tuple[torch.Tensor]) -> torch.Tensor:
    return inputs[0][..., ::rows, ::columns]


def train_network(
    layers: Sequence[Layer],
    protocol: TrainingProtocol,
    images: tuple[Images, Images],
    *,
    seed: int,
    deadline: float = float("inf"),
    on_epoch: Callable[[float], None] = lambda _: None,
) -> Observation:
    """Train a network and return its row of the observation table.

    The seed fixes the initial weights and the order of the images, so that a row can be measured again on the same kind
    of machine. `seconds` is processor time on a CPU, wall time on a GPU. `deadline` is in `time.time()` seconds.
    `on_epoch` is called with the validation accuracy after each epoch; an exception from it ends the training.

    Raises:
        OutOfTimeError: when the deadline passes first.
    """
    started_at = datetime.now(UTC).isoformat(timespec="seconds")
    train, validation = images
    device = train.images.device.type
    first = train.images[:IMAGES].contiguous(), train.labels[:IMAGES]  # the usual format: see `stride_before`
    proxies = measure_layers(layers, protocol.image, protocol.classes, *first)
    clock = time.process_time if device == "cpu" else time.perf_counter
    start = clock()
    torch.manual_seed(seed)
    network = build(layers, protocol.image, protocol.classes).to(device)
    network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    stride_before(network)
    orders = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.SGD(
        network.parameters(), protocol.learning_rate, protocol.momentum, weight_decay=protocol.weight_decay
    )
    step = EagerStep(network, train, optimizer, protocol.clip)
    run = _Run(network, fastest(step, protocol.batch_size), step.total, protocol.batch_size, deadline)
    accuracy: list[float] = []
    losses: list[float] = []
    statistics: dict[str, dict[str, list[float]]] = {}
    for epoch in range(protocol.epochs):
        for group in optimizer.param_groups:
            group["lr"] = protocol.learning_rate_at(epoch)
        order = torch.randperm(len(train.labels), generator=orders).to(train.images.device)
        loss = _train_epoch(run, order)
        if loss != loss:  # noqa: PLR0124 - NaN
            break
        losses.append(loss)
        accuracy.append(measure_accuracy(network, validation))
        on_epoch(accuracy[-1])
        if epoch + 1 == max(1, protocol.epochs // 4):
            statistics["quarter"] = weight_statistics(network)
    statistics["final"] = weight_statistics(network)
    diverged = len(accuracy) < protocol.epochs
    if diverged:
        accuracy.append(measure_accuracy(network, validation))
    failed_to_train = is_chance(max(accuracy), validation.labels)
    cost = costs(resolve(layers, protocol.image))
    return Observation(
        task=protocol.name,
        protocol=protocol.key,
        in_channels=protocol.in_channels,
        resolution=protocol.resolution,
        seed=seed,
        layers=list(layers),
        accuracy=accuracy,
        train_loss=losses,
        status="diverged" if diverged else "failed_to_train" if failed_to_train else "ok",
        params=cost.params,
        flops=cost.flops,
        seconds=round(clock() - start, 3),
        device=device_name(device),
        weight_stats=statistics,
        proxies=proxies or None,
        started_at=started_at,
    )
