"""The figures of the paper (Deng, Yan and Lin, arXiv 1712.03351, Tables 2 to 4), to stand beside this project's."""

from typing import NamedTuple


class PaperRow(NamedTuple):
    """A method's figures for the final accuracy, and whether it sees the first quarter of the curve."""

    method: str
    sees_curve: bool
    mse: float
    tau: float
    r2: float


STATISTICS = {  # networks, mean, std, min, max of the final accuracy
    "the paper, CIFAR-10, train": (844, 0.74, 0.07, 0.50, 0.89),
    "the paper, CIFAR-10, test": (800, 0.73, 0.08, 0.48, 0.88),
    "the paper, MNIST, train": (471, 0.98, 0.03, 0.52, 0.99),
    "the paper, MNIST, test": (400, 0.98, 0.04, 0.49, 0.99),
}
CIFAR10 = (
    PaperRow("BNN (LC-Net)", True, 0.0032, 0.5417, 0.5400),
    PaperRow("ν-SVR", True, 0.0018, 0.6232, 0.7321),
    PaperRow("Peephole", False, 0.0010, 0.7696, 0.8596),
)
MNIST = (
    PaperRow("BNN (LC-Net)", True, 0.0004, 0.3380, 0.1921),
    PaperRow("ν-SVR", True, 0.0008, 0.3489, 0.2121),
    PaperRow("Peephole", False, 0.0003, 0.5036, 0.4681),
)


def figures_for(task: str) -> tuple[str, tuple[PaperRow, ...]] | None:
    """Return the paper's table for a task's images, and its number; `None` when it had no such images."""
    if "cifar10" in task:
        return "3", CIFAR10
    return ("4", MNIST) if "mnist" in task else None
