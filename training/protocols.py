"""Training recipes as data: what a network is trained on, and how."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass

from model.network.shapes import Shape
from model.sampling.population import POPULATION_SEED, SampledNetwork, SearchSpace, population


@dataclass(frozen=True)
class TrainingProtocol:
    """A named training recipe.

    Attributes:
        name: what the command line and the tables call it.
        dataset: which images (`training.measuring.datasets`).
        in_channels: channels of an image.
        resolution: height and width in pixels that images are averaged down to.
        width: output channels of the stem and of the first stage.
        train_images: how many of the training images are used.
        validation_images: how many of the held-out images accuracy is measured on after every epoch.
        epochs: passes over the training images.
        batch_size: images per step.
        learning_rate: at the start; SGD with Nesterov-free momentum.
        decay_epochs: after how many epochs the learning rate is multiplied by `decay`.
        clip: largest gradient norm; `None` leaves gradients alone, as the paper does.
        max_flops: networks above this forward cost are not sampled.
    """

    name: str
    dataset: str
    in_channels: int
    resolution: int
    width: int
    train_images: int
    validation_images: int
    epochs: int
    batch_size: int
    learning_rate: float
    decay_epochs: tuple[int, ...]
    decay: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 1e-4
    clip: float | None = None
    max_flops: int | None = None
    classes: int = 10

    @property
    def image(self) -> Shape:
        """Shape of one image."""
        return Shape(self.in_channels, self.resolution, self.resolution)

    @property
    def key(self) -> str:
        """Name and hash of all settings, so that rows of different recipes never mix unnoticed."""
        settings = json.dumps(asdict(self), sort_keys=True).encode()
        return f"{self.name}-{hashlib.sha256(settings).hexdigest()[:8]}"

    def population(self, seed: int = POPULATION_SEED, space: SearchSpace = "paper") -> Iterator[SampledNetwork]:
        """Yield distinct networks without end; with the default seed, those that are measured."""
        return population(self.image, self.width, max_flops=self.max_flops, seed=seed, space=space)

    def learning_rate_at(self, epoch: int) -> float:
        """Learning rate during the 0-based `epoch`."""
        return self.learning_rate * self.decay ** sum(epoch >= at for at in self.decay_epochs)


PROTOCOLS = {
    protocol.name: protocol
    for protocol in (
        TrainingProtocol("mnist", "mnist", 1, 28, 16, 60_000, 10_000, 200, 128, 0.1, (80, 160)),
        TrainingProtocol("cifar10", "cifar10", 3, 32, 16, 50_000, 10_000, 180, 128, 0.1, (60, 120)),
        # The short ones leave out what the mini ones do: four times the pixels and four times the channels squared are
        # 16 times the cost. Of 300 sampled networks the costliest has 180 times the operations of the median.
        TrainingProtocol(
            "mnist-short", "mnist", 1, 28, 16, 60_000, 10_000, 12, 128, 0.1, (6, 9), clip=1.0, max_flops=320_000_000
        ),
        TrainingProtocol(
            "cifar10-short",
            "cifar10",
            3,
            32,
            16,
            50_000,
            10_000,
            24,
            128,
            0.1,
            (12, 18),
            clip=1.0,
            max_flops=192_000_000,
        ),
        TrainingProtocol(
            "mnist-mini", "mnist", 1, 14, 8, 4_000, 4_000, 10, 64, 0.1, (5, 8), clip=1.0, max_flops=20_000_000
        ),
        TrainingProtocol(
            "cifar10-mini", "cifar10", 3, 16, 8, 4_000, 4_000, 10, 64, 0.1, (5, 8), clip=1.0, max_flops=12_000_000
        ),
        TrainingProtocol(
            "digits-mini", "digits", 1, 8, 4, 1_200, 597, 8, 32, 0.05, (4, 6), clip=1.0, max_flops=500_000
        ),
    )
}
