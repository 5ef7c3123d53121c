"""`peephole predict-weights`: the accuracy of a trained network, read off its weights."""

from pathlib import Path
from typing import Annotated

import typer

from cli.files import existing
from model.artifact import ArtifactError, shipped
from model.weights import WeightsError, WeightsPredictor, read_weights, read_weights_predictor


def _predictor(task: str | None, artifact: Path | None) -> WeightsPredictor:
    if artifact is not None and not artifact.exists():
        raise ArtifactError(f"{artifact} does not exist")
    folders = [artifact] if artifact is not None else shipped()
    found = {p.card.task: p for p in map(read_weights_predictor, folders) if p is not None}
    if not found:
        where = str(artifact) if artifact is not None else "what ships"
        raise ArtifactError(f"{where} cannot read weights; fit that with `peephole fit-weights`")
    if task is None and len(found) > 1:
        raise ValueError(f"several tasks can read weights; choose one with --task: {', '.join(found)}")
    if task is not None and task not in found:
        raise ValueError(f"task {task} cannot read weights; these can: {', '.join(found)}")
    return found[task] if task is not None else next(iter(found.values()))


def predict_weights(
    file: Annotated[Path, typer.Argument(help="A safetensors file of a trained network's weights.")],
    task: Annotated[str | None, typer.Option(help="Whose networks it resembles; optional when one task can.")] = None,
    artifact: Annotated[Path | None, typer.Option(help="An artifact's folder, instead of what ships.")] = None,
) -> None:
    """Predict a trained network's accuracy from its weights alone, without data.

    Tensors are named as PyTorch names them: `layer3.weight`, `layer3.bias`, in the order of the layers.

    Example: `peephole predict-weights network.safetensors --task mnist-mini`
    """
    predictor = _predictor(task, artifact)
    try:
        got = predictor.predict(read_weights(existing(file).read_bytes()))
    except WeightsError as error:
        raise ValueError(f"{file}: {error}") from error
    level = f"{predictor.card.interval_level:.0%}"
    typer.echo(
        f"{predictor.card.task}: accuracy {got.accuracy:.4f} ({level} interval {got.lower:.4f} to {got.upper:.4f})"
    )


def register(app: typer.Typer) -> None:
    """Add the command of this file."""
    app.command(name="predict-weights")(predict_weights)
