"""Steps recorded as a CUDA graph against steps taken one by one; skipped, with the reason, where there is no GPU."""

import pytest
import torch

from model.torch_modules import build
from training.measuring.collect import plan
from training.measuring.datasets import Images, load
from training.measuring.steps import EagerStep, RecordedStep, Step, fastest
from training.measuring.train import train_network
from training.protocols import PROTOCOLS

DIGITS = PROTOCOLS["digits-mini"]
on_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU, and PyTorch with CUDA")


def images(device: str) -> tuple[Images, Images]:
    train, validation = (Images(part.images.to(device), part.labels.to(device)) for part in load(DIGITS))
    return train, validation


def eager(device: str) -> EagerStep:
    """A step of a network that is the same each time."""
    torch.manual_seed(0)
    network = build(plan(DIGITS, 1)[0].layers, DIGITS.image, DIGITS.classes).to(device)
    optimizer = torch.optim.SGD(network.parameters(), 0.05, momentum=0.9)
    return EagerStep(network, images(device)[0], optimizer, clip=1.0)


def learn(step: EagerStep, take: Step) -> None:
    """Two epochs of whole batches and a smaller last one, at two learning rates."""
    device = step.total.device
    step.network.train()
    for epoch, rate in enumerate((0.05, 0.005)):
        step.optimizer.param_groups[0]["lr"] = rate
        order = torch.randperm(336, generator=torch.Generator().manual_seed(epoch)).to(device)
        for chosen in order.split(32):
            take(chosen)


def test_without_a_gpu_steps_are_taken_one_by_one() -> None:
    step = eager("cpu")
    assert fastest(step, 32) is step


def test_the_total_is_the_sum_of_the_images_losses() -> None:
    step = eager("cpu")
    step.optimizer.param_groups[0]["lr"] = 0.0
    chosen = torch.arange(32)
    logits = step.network(step.train.images[chosen])
    step(chosen)
    step(chosen)
    expected = torch.nn.functional.cross_entropy(logits, step.train.labels[chosen], reduction="sum")
    assert step.total.item() == pytest.approx(2 * expected.item(), rel=1e-5)


@pytest.mark.gpu
@on_gpu
def test_recorded_steps_learn_what_steps_one_by_one_do() -> None:
    one, other = eager("cuda"), eager("cuda")
    learn(one, one)
    take = fastest(other, 32)
    assert isinstance(take, RecordedStep)
    learn(other, take)
    assert other.total.item() == pytest.approx(one.total.item(), rel=1e-3)
    for mine, theirs in zip(one.network.parameters(), other.network.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-2, atol=1e-3)


@pytest.mark.gpu
@on_gpu
def test_a_network_learns_on_the_gpu_as_on_the_cpu() -> None:
    job = next(
        job for job in plan(DIGITS, 20) if train_network(job.layers, DIGITS, images("cpu"), seed=0).status == "ok"
    )
    cpu, gpu = (train_network(job.layers, DIGITS, images(device), seed=0) for device in ("cpu", "cuda"))
    assert gpu.device == torch.cuda.get_device_name()
    assert gpu.accuracy[-1] == pytest.approx(cpu.accuracy[-1], abs=0.1)
    assert gpu.weight_stats is not None
    assert cpu.weight_stats is not None
    assert gpu.weight_stats["final"].keys() == cpu.weight_stats["final"].keys()
