"""A loaded artifact: its predictor, and what else its folder has."""

from dataclasses import dataclass

from .artifact import Artifact, Card
from .continuation import Continuation, read_continuation
from .encoding.layer_cache import LayerCache
from .out_of_fold import Points, read_points
from .proxy_reader import ProxyReader, read_proxy_reader
from .runtime import Predictor, Provider
from .weights import WeightsPredictor, read_weights_predictor


@dataclass(frozen=True, slots=True, eq=False)
class Model:
    """A loaded predictor, its layer cache, and what else its folder has; `points` are of its cross-validation."""

    predictor: Predictor
    layers: LayerCache
    continuation: Continuation | None
    weights: WeightsPredictor | None
    proxies: ProxyReader | None = None
    points: Points | None = None

    @property
    def card(self) -> Card:
        """The predictor's card."""
        return self.predictor.card


def load_model(
    artifact: Artifact, *, threads: int = 1, provider: Provider = "cpu", lanes: int = 1, weights: bool = True
) -> Model:
    """Load an artifact's predictor, and what else its folder has.

    Args:
        artifact: read and verified.
        threads: as in `Predictor`, as are `provider` and `lanes`.
        provider: where the networks run.
        lanes: sessions of the predictor.
        weights: whether to load what reads weights.

    Raises:
        ArtifactError: when one of them cannot be loaded.
    """
    return Model(
        Predictor(artifact, threads=threads, provider=provider, lanes=lanes),
        LayerCache(artifact.card.layer_code),
        read_continuation(artifact.folder),
        read_weights_predictor(artifact.folder) if weights else None,
        read_proxy_reader(artifact.folder, artifact.card),
        read_points(artifact.folder, artifact.card),
    )
