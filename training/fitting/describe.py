"""What people want to know of a fitted task, from the rows and the protocol that measured them."""

from collections.abc import Sequence

from model.artifact import TaskDescription
from model.network.graph import resolve
from model.network.schema import pair
from model.network.shapes import Shape
from training.fitting.public_tasks import PUBLIC_TASKS
from training.observations.observation import Observation
from training.protocols import PROTOCOLS, TrainingProtocol

_DATA_SETS = {"mnist": "MNIST", "cifar10": "CIFAR-10", "digits": "scikit-learn's digits"}


def describe(rows: Sequence[Observation], image: Shape) -> TaskDescription | None:
    """Return the description of a task; `None` unless one known protocol or benchmark measured all rows.

    Args:
        rows: that the predictor is fitted to.
        image: shape of the task's images.
    """
    keys = {row.protocol for row in rows}
    public = next((one for name, one in PUBLIC_TASKS.items() if keys == {f"{name}-public"}), None)
    if public is not None:
        return with_best(public.about, max(_means(rows).values()))
    protocol = next((one for one in PROTOCOLS.values() if keys == {one.key}), None)
    if protocol is None:
        return None
    images = f"{protocol.validation_images:,} {_DATA_SETS[protocol.dataset]} test images"
    best = max(row.accuracy[-1] for row in rows)
    size = f"{protocol.resolution}x{protocol.resolution} pixels"
    return TaskDescription(
        measured=f"Validation accuracy after each of {protocol.epochs} epochs, on {images}.",
        search_space=_search_space(rows, image),
        training_recipe=_recipe(protocol),
        limits=(
            f"{protocol.train_images:,} training images of {size}, {protocol.epochs} epochs. Predictions are for this "
            "recipe; another may rank networks otherwise.",
            f"The best network measured ends at {best:.3f}. A higher prediction is an extrapolation, and networks "
            "picked because their predictions are the highest usually do worse than predicted.",
            "A network unlike those of the training set has a distance above 1; its prediction is an extrapolation.",
        ),
    )


def with_best(about: TaskDescription, best: float) -> TaskDescription:
    """Return a description whose limits begin with the best accuracy that was measured."""
    first = f"The best network measured ends at {best:.3f}. A higher prediction is an extrapolation."
    return about.model_copy(update={"limits": (first, *about.limits)})


def _means(rows: Sequence[Observation]) -> dict[str, float]:
    """Return the mean final accuracy of each network."""
    finals: dict[str, list[float]] = {}
    for row in rows:
        finals.setdefault(row.network_id, []).append(row.accuracy[-1])
    return {name: sum(values) / len(values) for name, values in finals.items()}


def _search_space(rows: Sequence[Observation], image: Shape) -> str:
    """Return the measured networks in words."""
    lengths = [len(row.layers) for row in rows]
    types = dict.fromkeys(layer["type"] for row in rows for layer in row.layers)
    text = f"Chains of {min(lengths)} to {max(lengths)} layers of the types {', '.join(types)}."
    kernels: set[int] = set()
    channels: set[int] = set()
    for row in rows:
        for node in resolve(row.layers, image):
            if node.layer["type"] == "conv":
                kernels.update(pair(node.layer["kernel_size"]))
                channels.add(node.after.channels)
    if not channels:
        return text
    kernel, width = f"{min(kernels)} to {max(kernels)}", f"{min(channels)} to {max(channels)}"
    return f"{text} Convolutions have kernels of {kernel} and {width} channels."


def _recipe(protocol: TrainingProtocol) -> dict[str, str | int | float]:
    epochs = " and ".join(map(str, protocol.decay_epochs))
    is_small = any(
        one.dataset == protocol.dataset and one.resolution > protocol.resolution for one in PROTOCOLS.values()
    )
    size = f"{protocol.resolution}x{protocol.resolution} pixels"
    return {
        "optimiser": "SGD",
        "momentum": protocol.momentum,
        "weight_decay": protocol.weight_decay,
        "learning_rate": protocol.learning_rate,
        "learning_rate_schedule": f"multiplied by {protocol.decay:g} after epochs {epochs}",
        "gradient_clipping": "none" if protocol.clip is None else f"norm {protocol.clip:g}",
        "batch": protocol.batch_size,
        "epochs": protocol.epochs,
        "augmentation": "none",
        "training_images": protocol.train_images,
        "validation_images": protocol.validation_images,
        "images": f"{_DATA_SETS[protocol.dataset]}, {size}" + (", averaged down from the original" if is_small else ""),
        "initialisation": "He et al., normal",
        "classifier": "global average pooling and a linear layer",
    }
