"""The report: quick experiments measured anew, tables of the pages filled in, pictures drawn."""

from pathlib import Path

from model.artifact import read_artifact
from training.fitting.out_of_fold import OUT_OF_FOLD_FILE, read_out_of_fold, write_points
from training.study.experiments import measure_quick
from training.study.figures import FIGURES
from training.study.networks import Study
from training.study.results import read_results
from training.study.tables import fill


def write_report(study: Study) -> None:
    """Measure what needs no fit, fill in the tables of `docs/results.md` and the README, and draw the pictures.

    Beside the predictors it writes the points that the service shows.
    """
    measure_quick(study)
    write_points_of(study.zoo)
    results = read_results(study.results)
    for page in (study.docs / "results.md", study.root / "README.md"):
        fill(page, results)
    for draw in FIGURES:
        draw(study, results)


def write_points_of(zoo: Path) -> None:
    """Write what the service shows of the cross-validation of each predictor of a folder that keeps it."""
    for file in sorted(zoo.glob(f"*/{OUT_OF_FOLD_FILE}")):
        card = read_artifact(file.parent).card
        kept = read_out_of_fold(file.parent, card)
        write_points(file.parent, card, kept.measured[:, -1], kept.predicted[:, -1])
