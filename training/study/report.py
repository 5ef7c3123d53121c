"""The report: quick experiments measured anew, tables of the pages filled in, pictures drawn."""

from training.study.experiments import measure_quick
from training.study.figures import FIGURES
from training.study.networks import Study
from training.study.results import read_results
from training.study.tables import fill


def write_report(study: Study) -> None:
    """Measure what needs no fit, fill in the tables of `docs/results.md` and the README, and draw the pictures."""
    measure_quick(study)
    results = read_results(study.results)
    for page in (study.docs / "results.md", study.root / "README.md"):
        fill(page, results)
    for draw in FIGURES:
        draw(study, results)
