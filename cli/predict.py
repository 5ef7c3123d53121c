"""`peephole predict` and `predict-weights`: predictions by the service's own code, without HTTP."""

import csv
import io
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.console import print_table
from cli.networks import FileArgument, Networks, read_networks
from cli.options import TASKS, ArtifactOption, JsonOption, TaskOption, choose_artifact
from model.artifact import Artifact, read_artifact
from model.network.faults import Fault
from model.ranking import OutOfDistribution, RankBy

if TYPE_CHECKING:
    from model.requests.predict import Call

FORMATS = ("json", "jsonl", "csv")
_SAVE = "; a PyTorch model's: safetensors.torch.save_file(model.state_dict(), 'model.safetensors')"


def predict(
    file: FileArgument,
    task: TaskOption = None,
    artifact: ArtifactOption = None,
    context: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            exists=True,
            dir_okay=False,
            help="Measured networks of your own data set, a table as for fit: predictions are for it, without a fit.",
        ),
    ] = None,
    prior: Annotated[
        str,
        typer.Option(metavar="NAME", help="With --context, the shipped predictor to build on: auto, a name, or none."),
    ] = "auto",
    rank_by: Annotated[
        RankBy | None, typer.Option(help="Rank by the predicted accuracy, or by an end of its interval.")
    ] = None,
    out_of_distribution: Annotated[
        OutOfDistribution | None,
        typer.Option(help="Networks unlike the training set: rank them like others, last, or with a penalty."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the response that POST /predict gives.")] = False,
    as_lines: Annotated[bool, typer.Option("--jsonl", help="Print JSON Lines, a network a line.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print a table for spreadsheets, a network a row.")] = False,
    out: Annotated[Path | None, typer.Option(help="Write to a file; its ending can say the form.")] = None,
) -> None:
    """Predict the learning curves of networks before they are trained.

    Of a request body, `task`, `epochs` and `rank_by` count as they do in POST /predict, and `observed` continues a
    curve. Without an output option, a table of the last predicted epoch is printed, the best network first.

    Example: `peephole sample --protocol mnist-mini -n 5 | peephole predict - --csv`
    Example: `peephole predict networks.json --context measured.parquet`
    """
    form = _output_form({"json": as_json, "jsonl": as_lines, "csv": as_csv}, out)
    networks = read_networks(file)
    if rank_by is not None:
        networks.body["rank_by"] = rank_by
    if out_of_distribution is not None:
        networks.body["out_of_distribution"] = out_of_distribution
    if context is not None:
        if task is not None or artifact is not None:
            raise typer.BadParameter("predictions are for what was measured: leave out --task and --artifact")
        from model.context import LEVEL

        response = _predict_in_context(networks, context, prior)
        title, level = _title(response["model"], context), LEVEL
    else:
        call = _read_call(networks, _artifact_for(networks, task, artifact))
        from model.requests.curves import predict_curves
        from model.requests.predict import answer

        response = answer(call, predict_curves(call.model, call.networks, call.epochs))
        title, level = call.model.card.task, call.model.card.interval_level
    if form is None:
        _print_predictions(response, title, level)
        return
    if form == "csv":
        text = _as_csv(response)
    elif form == "jsonl":
        text = "".join(json.dumps(one) + "\n" for one in response["predictions"])
    else:
        text = json.dumps(response) + "\n"
    if out is None:
        typer.echo(text, nl=False)
    else:
        out.write_text(text)


def predict_weights(
    file: Annotated[
        Path, typer.Argument(exists=True, dir_okay=False, help="A safetensors file of a trained network's weights.")
    ],
    task: TaskOption = None,
    artifact: ArtifactOption = None,
    as_json: JsonOption = False,
) -> None:
    """Predict a trained network's accuracy from its weights alone, without data.

    Tensors are named as PyTorch names them: `layer3.weight`, `layer3.bias`, numbered in the order of the layers.

    Example: `peephole predict-weights network.safetensors --task mnist-mini`
    """
    from model.weight_features import FeaturesError
    from model.weights import WEIGHTS_CARD_FILE, read_weights_predictor
    from model.weights_file import WeightsError, read_weights

    folder = choose_artifact(task, artifact).folder
    predictor = read_weights_predictor(folder)
    if predictor is None:
        able = ", ".join(name for name, one in TASKS.items() if (one / WEIGHTS_CARD_FILE).exists())
        raise ValueError(f"{folder} reads no weights (those of {able} do); fit that with `peephole fit-weights`")
    try:
        found = predictor.predict(read_weights(file.read_bytes()))
    except (WeightsError, FeaturesError) as error:
        hint = "" if file.suffix == ".safetensors" else _SAVE
        raise ValueError(f"{file}: {error}{hint}") from error
    card = predictor.card
    if as_json:
        typer.echo(json.dumps({"task": card.task, **found.fields()}))
        return
    interval = f"{card.interval_level:.0%} interval {found.lower:.4f} to {found.upper:.4f}"
    typer.echo(f"{card.task}: accuracy {found.accuracy:.4f} ({interval}), distance {found.distance:.2f}")
    for note in found.notes:
        typer.echo(f"note: {note}", err=True)


def _output_form(flags: dict[str, bool], out: Path | None) -> str | None:
    """Return the form that options or the name of the file ask for; `None` is the table for people."""
    chosen = [form for form in FORMATS if flags[form]]
    if len(chosen) > 1:
        raise typer.BadParameter(f"--{chosen[0]} and --{chosen[1]} exclude each other", param_hint=f"--{chosen[1]}")
    if chosen:
        return chosen[0]
    if out is not None and out.suffix[1:] not in FORMATS:
        raise typer.BadParameter(f"give --json, --jsonl or --csv, or a name that ends so: {out}", param_hint="--out")
    return out.suffix[1:] if out is not None else None


def _artifact_for(networks: Networks, task: str | None, folder: Path | None) -> Artifact:
    """Return the artifact that the options name, else the one of the task that the file names."""
    named = networks.body.get("task")
    if task is None and folder is None and named is not None:
        if named not in TASKS:
            raise networks.error(Fault("/task", "unknown-task", f"must be one of: {', '.join(TASKS)}"))
        return choose_artifact(named, None)
    artifact = choose_artifact(task, folder)
    if named not in {None, artifact.card.task}:
        detail = f"is {named!r}, but the options choose {artifact.card.task!r}"
        raise networks.error(Fault("/task", "unknown-task", detail))
    return artifact


def _read_call(networks: Networks, artifact: Artifact) -> "Call":
    """Encode networks for a predictor, with the checks of POST /predict but for its limits."""
    from model.loaded import load_model
    from model.requests.errors import InvalidRequestError
    from model.requests.predict import read_call

    model = load_model(artifact, weights=False)
    try:
        return read_call(networks.body, model, max_architectures=sys.maxsize, max_layers=sys.maxsize)
    except InvalidRequestError as error:
        raise networks.error(*error.faults) from None


def _predict_in_context(networks: Networks, table: Path, prior: str) -> dict[str, Any]:
    """Predict for the data set of a table, as POST /predict does with its rows as `context`."""
    from model.loaded import load_model
    from model.network.schema import MIN_CONTEXT
    from model.requests.errors import InvalidRequestError
    from model.requests.in_context import AUTO, InContext
    from training.observations.context import context_of
    from training.observations.dataset import image_of, task_of
    from training.observations.read import read

    if prior not in {AUTO, "none", *TASKS}:
        raise typer.BadParameter(f"must be {AUTO}, none or one of: {', '.join(TASKS)}", param_hint="--prior")
    _, rows = task_of(read(table))
    known = context_of([row for row in rows if row.accuracy])
    if len(known) < MIN_CONTEXT:
        raise ValueError(f"{table}: {len(known)} measured networks; predictions need {MIN_CONTEXT}")
    image = image_of(rows)
    body = networks.body
    body.pop("task", None)  # `peephole sample` names one
    body["context"], body["prior"] = known, None if prior == "none" else prior
    body.setdefault("input", (image.channels, image.height, image.width))
    names = TASKS if prior == AUTO else TASKS.keys() & {prior}
    models = {name: load_model(read_artifact(TASKS[name]), weights=False) for name in names}
    try:
        found, _ = InContext().answer(body, models, max_architectures=sys.maxsize, max_layers=sys.maxsize)
    except InvalidRequestError as error:
        raise networks.error(*error.faults) from None
    return found


def _title(about: dict[str, Any], table: Path) -> str:
    prior = about["prior"] or "no other task"
    return f"{table.name}, {about['networks']} networks on top of {prior} (tau {about['tau']:.2f}, each left out)"


def _print_predictions(response: dict[str, Any], title: str, level: float) -> None:
    epochs = response["epochs"]
    last = epochs.index(max(epochs))
    asked = [name for name in ("feasible", "pareto_rank") if name in response["predictions"][0]]
    rows = [
        (
            str(one["rank"]),
            str(index) if one["id"] is None else one["id"],
            f"{one['final_accuracy']:.3f}",
            f"{one['lower'][last]:.3f} to {one['upper'][last]:.3f}",
            f"{one['distance']:.2f}",
            f"{one['params']:,}",
            f"{one['flops'] / 1e6:,.1f}",
            *(str(one[name]) for name in asked),
            "; ".join(one["notes"]),
        )
        for index, one in enumerate(response["predictions"])
    ]
    interval = f"{level:.0%} interval"
    headings = ("rank", "id", "accuracy", interval, "distance", "params", "MFLOPs", *asked, "notes")
    rows.sort(key=lambda row: int(row[0]))
    print_table(f"{title}: accuracy after {epochs[last]} epochs", headings, rows)


def _as_csv(response: dict[str, Any]) -> str:
    """Return a row for each network: what is predicted of the last epoch, and the accuracy after each epoch."""
    epochs = response["epochs"]
    last = epochs.index(max(epochs))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    asked = [name for name in ("feasible", "pareto_rank") if name in response["predictions"][0]]
    costs = ("params", "flops", "activation_bytes", *asked)
    named = ("id", "rank", "final_accuracy", "lower", "upper", "distance", *costs, "in_distribution", "notes")
    writer.writerow([*named, *(f"epoch_{epoch}" for epoch in epochs)])
    for index, one in enumerate(response["predictions"]):
        name = index if one["id"] is None else one["id"]
        figures = (one["final_accuracy"], one["lower"][last], one["upper"][last], one["distance"])
        notes = (str(one["in_distribution"]).lower(), "; ".join(one["notes"]))
        writer.writerow([name, one["rank"], *figures, *(one[cost] for cost in costs), *notes, *one["accuracy"]])
    return text.getvalue()
