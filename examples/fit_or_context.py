"""Would a background fit be published? Compare it with the context model on networks of a table, as a worker does.

python examples/fit_or_context.py data/cifar10-mini.parquet --networks 100 --without cifar10-mini
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np

from cli.worker import NEURAL
from model.artifact import read_artifact, shipped
from model.loaded import load_model
from training.fitting.compare import compare_with_context
from training.fitting.ensemble_config import PROCESS_ALONE
from training.fitting.fit import fit
from training.fitting.out_of_fold import read_out_of_fold
from training.observations.read import read


def main() -> None:
    """Print the figures of both, five folds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", type=Path, help="measured networks of one task")
    parser.add_argument("--networks", type=int, default=100, help="drawn at random")
    parser.add_argument("--without", nargs="*", default=[], help="shipped tasks that are no prior: the table's own")
    parser.add_argument("--no-prior", action="store_true")
    asked = parser.parse_args()
    rows = [row for row in read(asked.table) if row.seed == 0]
    chosen = [rows[index] for index in np.random.default_rng(0).permutation(len(rows))[: asked.networks]]
    artifacts = [read_artifact(folder) for folder in shipped() if folder.name not in asked.without]
    models = {artifact.card.task: load_model(artifact, weights=False) for artifact in artifacts}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        card = fit(chosen, folder, config=None if len(chosen) >= NEURAL else PROCESS_ALONE).card
        prior = None if asked.no_prior else "auto"
        kept = read_out_of_fold(folder, card)
        found = compare_with_context(chosen, kept, card.image, models, prior=prior)
    print(f"{card.task}, {len(chosen)} networks")
    for title, figures in (("context", found.context), ("fitted", found.artifact)):
        print(f"{title:8} " + "  ".join(f"{name} {value:.3f}" for name, value in figures.items()))
    print("published" if found.artifact_is_better else "not published")


if __name__ == "__main__":
    main()
