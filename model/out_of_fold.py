"""What cross-validation predicted of an artifact's networks: `out_of_fold.json` beside its card, for a plot."""

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from .artifact import ArtifactError, Card

POINTS_FILE = "out_of_fold.json"
MOST_POINTS = 300

_Fraction = Annotated[float, Field(ge=0, le=1)]
_Points = Annotated[list[_Fraction], Field(max_length=MOST_POINTS)]


class Points(BaseModel):
    """Final accuracies of networks, measured and as predicted by predictors that were not fitted to them.

    Attributes:
        networks: how many the points were drawn from, evenly along their measured accuracies.
        measured: final accuracies, ascending.
        predicted: of the same networks.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    networks: int
    measured: _Points
    predicted: _Points

    @model_validator(mode="after")
    def _check_lengths(self) -> "Points":
        if len(self.measured) != len(self.predicted):
            raise ValueError("measured and predicted differ in length")
        return self


class PointsOfFit(BaseModel):
    """The file: its points, and the sha256 of the predictor that they belong to."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    predictor_sha256: str
    points: Points


def read_points(folder: Path, card: Card) -> Points | None:
    """Return the points beside an artifact; `None` where there are none, or they are of another fit.

    Raises:
        ArtifactError: when the file cannot be understood.
    """
    file = folder / POINTS_FILE
    if not file.is_file():
        return None
    try:
        found = PointsOfFit.model_validate_json(file.read_bytes())
    except OSError as error:
        raise ArtifactError(f"{file}: {error.strerror}") from error
    except ValidationError as error:
        raise ArtifactError(f"{file}: {error.errors()[0]['msg']}") from error
    return found.points if found.predictor_sha256 == card.sha256 else None
