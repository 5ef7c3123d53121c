"""Out-of-fold predictions, kept beside an artifact: `out_of_fold.parquet`, a row for each network it was fitted to.

`out_of_fold.json` holds some of their final accuracies, which the service shows (`model/out_of_fold.py`). What needs
predictions of networks by predictors that were not fitted to them reads them here, and fits nothing again.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from model.artifact import ArtifactError, Card
from model.out_of_fold import MOST_POINTS, POINTS_FILE, Points, PointsOfFit
from training.metrics import Floats
from training.observations.dataset import CurveDataset

OUT_OF_FOLD_FILE = "out_of_fold.parquet"
_SHA256 = b"predictor_sha256"
_SCHEMA = pa.schema(
    [
        ("network_id", pa.string()),
        ("fold", pa.int8()),
        ("measured", pa.list_(pa.float64())),
        ("predicted", pa.list_(pa.float32())),
    ]
)


@dataclass(frozen=True)
class KeptPredictions:
    """Networks, and their curves as predicted before training by predictors not fitted to them.

    Attributes:
        network_ids: of each network.
        fold: which fold predicted each network [networks].
        measured: accuracies, NaN where not measured [networks, epochs].
        predicted: accuracies, snapped to a chance level that the other folds gave [networks, epochs].
    """

    network_ids: list[str]
    fold: NDArray[np.intp]
    measured: Floats
    predicted: Floats


def write_out_of_fold(folder: Path, card: Card, table: CurveDataset, predicted: Floats, fold: NDArray[np.intp]) -> None:
    """Write the predictions of an artifact's fit into its folder.

    Args:
        folder: the artifact's.
        card: the artifact's.
        table: what it was fitted to.
        predicted: out-of-fold accuracies [networks, epochs].
        fold: which fold predicted each network [networks].
    """
    columns = [table.network_ids, fold, list(table.curves), list(predicted.astype(np.float32))]
    schema = _SCHEMA.with_metadata({_SHA256: card.sha256})
    arrays = [pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)]
    pq.write_table(pa.Table.from_arrays(arrays, schema=schema), folder / OUT_OF_FOLD_FILE, compression="zstd")
    write_points(folder, card, table.curves[:, -1], predicted[:, -1])


def write_points(folder: Path, card: Card, measured: Floats, predicted: Floats) -> None:
    """Write a few points beside an artifact, evenly along the measured accuracies.

    Args:
        folder: the artifact's.
        card: the artifact's.
        measured: final accuracies, NaN where not measured [networks].
        predicted: out-of-fold final accuracies [networks].
    """
    known = np.flatnonzero(~np.isnan(measured))
    ascending = known[np.argsort(measured[known], kind="stable")]
    chosen = ascending[np.linspace(0, len(known) - 1, min(MOST_POINTS, len(known))).round().astype(int)]
    accuracies = (np.clip(values[chosen], 0, 1).round(4).tolist() for values in (measured, predicted))
    points = Points(networks=len(known), **dict(zip(("measured", "predicted"), accuracies, strict=True)))
    content = PointsOfFit(predictor_sha256=card.sha256, points=points)
    (folder / POINTS_FILE).write_text(content.model_dump_json() + "\n")


def read_out_of_fold(folder: Path, card: Card) -> KeptPredictions:
    """Read the predictions of an artifact's fit.

    Raises:
        ArtifactError: when there are none, or they are of another fit.
    """
    file = folder / OUT_OF_FOLD_FILE
    if not file.is_file():
        raise ArtifactError(f"{folder} has no {OUT_OF_FOLD_FILE}; fit it again")
    try:
        table = pq.read_table(file)
    except pa.ArrowException as error:
        raise ArtifactError(f"{file} cannot be read as Parquet") from error
    if (table.schema.metadata or {}).get(_SHA256) != card.sha256.encode():
        raise ArtifactError(f"{file} is of another fit than the predictor beside it; fit it again")
    measured, predicted = (np.array(table[name].to_pylist(), dtype=np.float64) for name in ("measured", "predicted"))
    fold = table["fold"].to_numpy().astype(np.intp)
    return KeptPredictions(table["network_id"].to_pylist(), fold, measured, predicted)
