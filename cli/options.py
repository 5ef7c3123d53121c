"""Options that several commands have: a name means the same in each."""

from pathlib import Path
from typing import Annotated

import typer

from model.artifact import Artifact, read_artifact, shipped
from model.sampling.population import SearchSpace
from training.protocols import PROTOCOLS, TrainingProtocol

TASKS = {folder.name: folder for folder in shipped()}
PROTOCOL_NAMES = ", ".join(PROTOCOLS)


def protocol_named(name: str) -> TrainingProtocol:
    """Return a protocol; the parser of `--protocol`."""
    if name not in PROTOCOLS:
        raise typer.BadParameter(f"{name!r} is not a protocol; there are {PROTOCOL_NAMES}")
    return PROTOCOLS[name]


ProtocolOption = Annotated[
    TrainingProtocol,
    typer.Option("--protocol", parser=protocol_named, metavar="NAME", help=f"One of {PROTOCOL_NAMES}."),
]
SpaceOption = Annotated[
    SearchSpace,
    typer.Option(
        "--space",
        help="Draw the paper's blocks, or families: small VGG, ResNet, MobileNet, DenseNet, ConvNeXt.",
    ),
]
TaskOption = Annotated[
    str | None, typer.Option("--task", metavar="NAME", help=f"Which shipped predictor, one of {', '.join(TASKS)}.")
]
ArtifactOption = Annotated[
    Path | None, typer.Option("--artifact", metavar="FOLDER", help="Your own predictor, instead of a shipped one.")
]
OwnArtifactOption = Annotated[Path, typer.Option("--artifact", metavar="FOLDER", help="Folder of the artifact.")]
TableOption = Annotated[
    Path,
    typer.Option(
        "--table",
        metavar="FILE",
        exists=True,
        dir_okay=False,
        help="Measured networks: Parquet or JSON Lines, a network a row.",
    ),
]
PretrainOption = Annotated[
    list[Path] | None,
    typer.Option(
        "--pretrain",
        metavar="FILE",
        exists=True,
        dir_okay=False,
        help="Table of another task to learn from first (repeatable).",
    ),
]
SeedOption = Annotated[int, typer.Option("--seed", help="Fixes folds and initial weights.")]
SkipBadRowsOption = Annotated[
    bool, typer.Option("--skip-bad-rows", help="Leave malformed rows out instead of rejecting the table.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def choose_artifact(task: str | None, folder: Path | None) -> Artifact:
    """Return what `--task` and `--artifact` name.

    Raises:
        ArtifactError: when the artifact cannot be read.
        typer.BadParameter: when they name none, or contradict each other.
    """
    if folder is not None:
        artifact = read_artifact(folder)
        if task not in {None, artifact.card.task}:
            raise typer.BadParameter(f"is {task!r}, but {folder} predicts {artifact.card.task!r}", param_hint="--task")
        return artifact
    if task is None:
        raise typer.BadParameter(f"needed to choose a predictor: {', '.join(TASKS)}", param_hint="--task")
    if task not in TASKS:
        raise typer.BadParameter(f"no predictor for {task!r}; there are {', '.join(TASKS)}", param_hint="--task")
    return read_artifact(TASKS[task])
