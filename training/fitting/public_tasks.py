"""What people want to know of the tasks of public benchmarks (`training.observations.benchmarks`)."""

from dataclasses import dataclass

from model.artifact import TaskDescription

_LIMITS = (
    "Predictions are for the benchmark's recipe; another may rank networks otherwise.",
    "Networks picked because their predictions are the highest usually do worse than predicted.",
    "A network unlike those of the space has a distance above 1; its prediction is an extrapolation.",
)
_CELL_201 = (
    "NAS-Bench-201: cells of four nodes and six edges, each edge none, a skip connection, a 1x1 or 3x3 convolution or "
    "3x3 average pooling; five cells at 16, 32 and 64 channels each, residual blocks between them."
)
_RECIPE_201 = {
    "optimiser": "SGD with Nesterov momentum",
    "momentum": 0.9,
    "weight_decay": 5e-4,
    "learning_rate": 0.1,
    "learning_rate_schedule": "cosine",
    "batch": 256,
    "epochs": 200,
    "augmentation": "random flips and crops",
    "source": "Dong and Yang, NAS-Bench-201, ICLR 2020",
}
_TRANSNAS = (
    "TransNAS-Bench-101: a macro space of basic residual blocks that vary in depth, in where the resolution halves and "
    "in where the channels double; and a micro space of cells with six edges, each none, a skip connection, a 1x1 or "
    "3x3 convolution."
)


@dataclass(frozen=True)
class PublicTask:
    """A task of a benchmark, for people.

    Attributes:
        description: one sentence.
        classes: of the data set, where they are known.
        about: the rest.
    """

    description: str
    classes: int | None
    about: TaskDescription


def _nasbench201(data: str, images: str, classes: int) -> PublicTask:
    about = TaskDescription(
        measured=f"Final test accuracy on {data} after 200 epochs, the mean of the benchmark's runs.",
        search_space=_CELL_201,
        training_recipe=_RECIPE_201 | {"images": images},
        limits=_LIMITS,
    )
    return PublicTask(f"Final accuracy of NAS-Bench-201's networks on {data}.", classes, about)


def _transnas(task: str, measured: str, epochs: int) -> PublicTask:
    about = TaskDescription(
        measured=f"{measured}, after the last of {epochs} epochs; one run.",
        search_space=_TRANSNAS,
        training_recipe={"epochs": epochs, "source": "Duan et al., TransNAS-Bench-101, CVPR 2021"},
        limits=_LIMITS,
    )
    return PublicTask(f"Final accuracy of TransNAS-Bench-101's networks on {task} of Taskonomy.", None, about)


PUBLIC_TASKS = {
    "nasbench101-cifar10": PublicTask(
        "Final accuracy of NAS-Bench-101's networks on CIFAR-10.",
        10,
        TaskDescription(
            measured="Final test accuracy on CIFAR-10 after 108 epochs, the mean of three runs.",
            search_space=(
                "NAS-Bench-101: cells of up to seven nodes and nine edges, each inner node a 1x1 or 3x3 convolution or "
                "3x3 max pooling; three stacks of three cells at 128, 256 and 512 channels."
            ),
            training_recipe={
                "optimiser": "RMSProp",
                "momentum": 0.9,
                "weight_decay": 1e-4,
                "learning_rate": 0.2,
                "learning_rate_schedule": "cosine",
                "batch": 256,
                "epochs": 108,
                "augmentation": "random flips and crops",
                "images": "CIFAR-10, 32x32 pixels",
                "source": "Ying et al., NAS-Bench-101, ICML 2019",
            },
            limits=(
                "A few networks fail to train, which their layers do not tell: R2 is low though ranks are good.",
                *_LIMITS,
            ),
        ),
    ),
    "nasbench201-cifar10": _nasbench201("CIFAR-10", "32x32 pixels", 10),
    "nasbench201-cifar100": _nasbench201("CIFAR-100", "32x32 pixels", 100),
    "nasbench201-imagenet16-120": _nasbench201("ImageNet16-120", "16x16 pixels", 120),
    "transnas101-class-scene": _transnas("scene classification", "Top-1 validation accuracy", 25),
    "transnas101-jigsaw": _transnas("jigsaw puzzles", "Top-1 validation accuracy", 10),
    "accel-imagenet": PublicTask(
        "Final accuracy of Accel-NASBench's networks on ImageNet.",
        1000,
        TaskDescription(
            measured="Top-1 validation accuracy on ImageNet at the end of a shortened training; one run.",
            search_space=(
                "Accel-NASBench: seven stages of inverted bottlenecks; expansion, kernel, depth and squeeze-and-excite "
                "vary by stage."
            ),
            training_recipe={
                "images": "ImageNet; the costs are of 224x224 pixels",
                "epochs": "few: a shortened recipe that ranks as the full one does",
                "source": "Ahmad et al., Accel-NASBench, DAC 2024",
            },
            limits=_LIMITS,
        ),
    ),
}
