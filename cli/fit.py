"""`peephole fit`, `fit-continuation`, `fit-proxies`, `fit-weights`: what an artifact is made of; `fit-process`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from cli.console import print_figures, print_table, progress_bar, silence_libraries
from cli.options import OwnArtifactOption, PretrainOption, SeedOption, SkipBadRowsOption, TableOption
from model.artifact import CARD_FILE, ArtifactError, read_artifact

if TYPE_CHECKING:
    from model.continuation import ContinuationCard
    from model.encoding.layer_code import LayerCode
    from training.observations.user_table import UserTable


MIN_WITH_PROXIES = 20  # networks, to learn from
_METHODS = {
    "before_training": "before training",
    "last_seen_value": "last seen value",
    "curve_only": "continued, curve alone",
    "with_prior": "continued, with the prediction before training",
}


def fit(
    table: TableOption,
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="Folder of the artifact to write.")],
    code: Annotated[
        Literal["paper", "extended"], typer.Option(help="`extended`: the ensemble; `paper`: the paper's LSTM.")
    ] = "extended",
    task: Annotated[str | None, typer.Option(help="Which task's rows, when the table holds several.")] = None,
    resolution: Annotated[int | None, typer.Option(min=1, help="Of images, unless the rows say it; else 32.")] = None,
    in_channels: Annotated[int | None, typer.Option(min=1, help="Of images, unless the rows say it; else 3.")] = None,
    skip_bad_rows: SkipBadRowsOption = False,
    split: Annotated[
        Literal["train", "all"], typer.Option(help="`train` leaves out the test split and duplicates of its networks.")
    ] = "all",
    pretrain: PretrainOption = None,
    seed: SeedOption = 0,
    members: Annotated[
        bool, typer.Option(help="Without neural members the Gaussian process predicts alone: for large graphs.")
    ] = True,
    description: Annotated[str | None, typer.Option(help="One sentence for the card.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an artifact of another task.")] = False,
) -> None:
    """Fit a predictor to measured networks: cross-validate, calibrate, export to ONNX, write the card.

    What continues curves during training is fitted with it. A table needs only `task`, `layers` and `accuracy` in each
    row (docs/bring-your-own.md); a report on it is shown first and kept in the card. An artifact of the same task in
    `--out` is replaced: a service that has it loaded reloads it.

    Example: `peephole fit --table mine.parquet --out my-predictor`
    """
    if pretrain and code == "paper":
        raise typer.BadParameter("the paper's LSTM learns from its own task alone", param_hint="--pretrain")
    from model.encoding.layer_code import CODES
    from training.curves.fit import fit_continuation
    from training.fitting import fit as fitting
    from training.fitting.calibrate import FOLDS
    from training.fitting.ensemble_config import PROCESS_ALONE
    from training.fitting.out_of_fold import read_out_of_fold
    from training.observations.report import data_report, shown

    silence_libraries()
    layer_code = CODES[code]
    own = load_table(
        table, layer_code, task=task, resolution=resolution, in_channels=in_channels, skip_bad_rows=skip_bad_rows
    )
    _check_target(out, own.rows[0].task, overwrite=overwrite)
    pretraining = [load_table(path, layer_code).rows for path in pretrain or ()]
    report = data_report(own, layer_code)
    print_figures(str(table), shown(report))
    if own.skipped:
        typer.echo(f"left out:\n{own.skipped}", err=True)
    for warning in report["warnings"]:
        typer.secho(f"warning: {warning}", fg="yellow", err=True)
    with progress_bar() as progress:
        steps = FOLDS + 3
        bar = progress.add_task("", total=steps, completed=-1)

        def on_fit(step: str) -> None:
            progress.update(bar, description=step, advance=1)
            if progress.disable:
                typer.echo(step, err=True)

        fitted = fitting.fit(
            own.rows,
            out,
            code_name=code,
            task=task,
            resolution=resolution,
            in_channels=in_channels,
            data=report,
            split=split,
            pretraining=pretraining,
            seed=seed,
            config=None if members else PROCESS_ALONE,
            description=description,
            on_fit=on_fit,
        )
        if fitted.card.epochs > 1:
            on_fit("continuing curves")
            fit_continuation(out, fitted.card, read_out_of_fold(out, fitted.card))
        progress.update(bar, completed=steps)
    if sum(row.proxies is not None for row in own.rows) >= MIN_WITH_PROXIES and code != "paper":
        fit_proxies(table, out)
    card = fitted.card
    print_figures(f"{card.task} {card.version}", card.metrics["cross_validation"])
    if left_out := card.training.get("duplicates_left_out"):
        typer.echo(f"{left_out} networks of the train split are duplicates of test networks: left out", err=True)
    if part := card.training.get("gaussian_process_scales_fitted_to"):
        typer.echo(f"the Gaussian process took its scales from {part} networks, drawn at random", err=True)
    measured = table if split == "train" else "OTHER-NETWORKS"
    typer.echo(f"written to {out}; try it: peephole evaluate --table {measured} --artifact {out}")


def fit_continuation(artifact: OwnArtifactOption) -> None:
    """Fit what continues learning curves during training (`"observed"` of POST /predict, and POST /stop).

    `peephole fit` does this too. The continuation learns from the predictions that the cross-validation of that fit
    left in `out_of_fold.parquet`.

    Example: `peephole fit-continuation --artifact my-models/digits-mini`
    """
    card = read_artifact(artifact).card
    if card.epochs < 2:
        raise ValueError(f"{artifact}: curves of one epoch end where they begin; there is nothing to continue")
    from training.curves.fit import fit_continuation as write_continuation
    from training.fitting.out_of_fold import read_out_of_fold

    silence_libraries()
    _print_continuation(write_continuation(artifact, card, read_out_of_fold(artifact, card)))


def fit_proxies(table: TableOption, artifact: OwnArtifactOption) -> None:
    """Fit what reads zero-cost scores (`"proxies"` of POST /predict), which an artifact does without as well.

    `peephole fit` does this too, when the rows of its table have `proxies` (`peephole proxies`).

    Example: `peephole fit-proxies --table data/mnist-mini.parquet --artifact my-models/mnist-mini`
    """
    from model.loaded import load_model
    from training.fitting.fit_proxies import fit_proxies as write_proxies
    from training.fitting.out_of_fold import read_out_of_fold
    from training.observations.read import read

    silence_libraries()
    model = load_model(read_artifact(artifact), weights=False)
    card = write_proxies(artifact, model, read(table), read_out_of_fold(artifact, model.card)).card
    rows = [
        (name, method, f"{one['tau']:.3f}", f"{one['r2']:.3f}", f"{one['curve_mae']:.4f}")
        for name, of_part in card.metrics.items()
        for method, one in of_part.items()
        if isinstance(one, dict)
    ]
    title = f"{card.task}: {card.training['networks']} networks, {len(card.proxies)} proxies"
    print_table(title, ("networks", "predictor", "tau", "R2", "MAE of curves"), rows)


def fit_weights(table: TableOption, artifact: OwnArtifactOption, pretrain: PretrainOption = None) -> None:
    """Fit what reads accuracy off trained weights (`peephole predict-weights`, POST /predict-weights).

    The rows of the table need `weight_stats`, which `peephole collect` and `peephole train` record.

    Example: `peephole fit-weights --table data/mnist-mini.parquet --artifact my-models/mnist-mini`
    """
    task = read_artifact(artifact).card.task
    from training.observations.pretraining import other_tasks
    from training.observations.read import read
    from training.weights.fit import fit_weights as write_weights
    from training.weights.fit import members_to_fit

    silence_libraries()
    rows = [row for row in read(table) if row.task == task]
    others = other_tasks([read(one) for one in pretrain or ()], task)
    with progress_bar() as progress:
        bar = progress.add_task("cross-validating and fitting", total=members_to_fit())
        card = write_weights(artifact, task, rows, pretraining=others, on_member=lambda: progress.advance(bar))
    titles = {"cross_validation": "final weights", "quarter_of_training": "weights at a quarter of training"}
    found = [(title, card.metrics[name]) for name, title in titles.items()]
    print_table(
        f"{task}: {card.training['networks']} networks",
        ("read from", "tau", "R2", "MAE"),
        [(title, f"{one['tau']:.3f}", f"{one['r2']:.3f}", f"{one['mae']:.4f}") for title, one in found],
    )


def fit_process(
    table: Annotated[
        list[Path],
        typer.Option(
            "--table", metavar="FILE", exists=True, dir_okay=False, help="Measured networks of any tasks (repeatable)."
        ),
    ],
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="To write the process to.")],
    seed: SeedOption = 0,
) -> None:
    """Fit the neural process that predictions in context build on, whatever the task.

    It learns from many tasks how a few measured networks tell of others; each needs 264 networks beside its test split,
    and a table counts as much as another. `peephole tables` makes tables of public benchmarks.

    Example: `peephole fit-process --table data/mnist-mini.parquet --table nasbench201.parquet --out my-process`
    """
    from training.fitting.fit_neural_process import STEPS, fit_neural_process, write_process
    from training.fitting.process_tasks import tasks_of
    from training.observations.read import read

    silence_libraries()
    with progress_bar() as progress:
        reading = progress.add_task("reading tables", total=len(table))
        tables = []
        for path in table:
            tables.append(list(tasks_of(read(path))))
            progress.advance(reading)
        bar = progress.add_task("fitting", total=STEPS)
        network = fit_neural_process(tables, seed=seed, on_step=lambda: progress.advance(bar))
    card = write_process(out, network, tables)
    networks = card.training["networks"]
    print_table(f"written to {out}", ("task", "networks"), [(name, str(count)) for name, count in networks.items()])


def load_table(path: Path, code: "LayerCode", **options: Any) -> "UserTable":
    """Read a table, and say what of it does not matter; for the options see `training.observations.user_table`."""
    from training.observations.user_table import load

    table = load(path, code, **options)
    if table.ignored_rows:
        typer.echo(f"{table.ignored_rows} malformed rows of other tasks were ignored", err=True)
    return table


def _check_target(out: Path, task: str, *, overwrite: bool) -> None:
    """Say that an artifact is replaced; one of another task needs --overwrite.

    Raises:
        ValueError: when the folder is a file, or holds an artifact of another task or one that cannot be read.
    """
    if out.is_file():
        raise ValueError(f"{out} is a file; a folder is needed")
    if not (out / CARD_FILE).exists():
        return
    try:
        card = read_artifact(out).card
        held, is_same = f"the predictor of {card.task} ({card.version})", card.task == task
    except ArtifactError:
        held, is_same = "a damaged artifact, or one of another version of Peephole", False
    if not (is_same or overwrite):
        raise ValueError(f"{out} holds {held}; choose another folder, or replace it with --overwrite")
    typer.echo(f"replaces {held} in {out}", err=True)


def _print_continuation(card: "ContinuationCard") -> None:
    rows = []
    for share, entry in card.metrics.items():
        if not isinstance(entry, dict):
            continue
        for name, method in _METHODS.items():
            found = entry[name]
            has_interval = "coverage" in found
            interval = [f"{found['final_coverage']:.3f}", f"{found['final_width']:.4f}"] if has_interval else ["", ""]
            figures = (f"{found['tau']:.3f}", f"{found['r2']:.3f}", f"{found['mae']:.4f}")
            rows.append((share, str(entry["epochs_seen"]), method, *figures, *interval))
    print_table(card.task, ("seen", "epochs", "predictor", "tau", "R2", "MAE", "coverage", "width"), rows)
