"""The report: quick experiments measured anew, tables of the pages filled in, pictures drawn."""

from model.artifact import read_artifact, shipped
from training.fitting.out_of_fold import OUT_OF_FOLD_FILE, read_out_of_fold, write_points
from training.study.experiments import measure_quick
from training.study.figures import FIGURES
from training.study.networks import Study
from training.study.results import read_results
from training.study.tables import fill


def write_report(study: Study) -> None:
    """Measure what needs no fit, fill in the tables of `docs/results.md` and the README, and draw the pictures."""
    measure_quick(study)
    write_shipped_points()
    results = read_results(study.results)
    for page in (study.docs / "results.md", study.root / "README.md"):
        fill(page, results)
    for draw in FIGURES:
        draw(study, results)


def write_shipped_points() -> None:
    """Write what the service shows of the cross-validation of each shipped predictor that keeps it."""
    for folder in shipped():
        if (folder / OUT_OF_FOLD_FILE).exists():
            card = read_artifact(folder).card
            kept = read_out_of_fold(folder, card)
            write_points(folder, card, kept.measured[:, -1], kept.predicted[:, -1])
