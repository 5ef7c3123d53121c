"""How the shipped ensemble is trained and blended."""

from dataclasses import dataclass


@dataclass(frozen=True)
class EnsembleConfig:
    """Settings of `training.fitting.fit_ensemble`; passes are over the networks of a table.

    Without members the Gaussian process predicts alone.
    """

    members: int = 4
    passes: int = 60
    pretraining_passes: int = 40
    batch_size: int = 64
    learning_rate: float = 3e-3
    weight_decay: float = 0.1
    final_epoch_weight: float = 4.0
    ranking_weight: float = 1.0
    inner_validation: float = 0.1
    collapsed_tau: float = 0.3
    attempts: int = 3
    gp_weight: float = 0.3
    gp_networks: int = 1500  # for the scales of the Gaussian process, at most; time grows with their cube
    gp_points: int = 256  # inducing points, at most; the cost of a prediction grows with them
    features: int = 64
    gradient_norm: float = 1.0


# A Gaussian process alone: networks of hundreds of layers are ranked as well by the features of their paths, and a
# prediction needs no pass of a neural network along them.
PROCESS_ALONE = EnsembleConfig(members=0, gp_networks=300, gp_points=400, features=96)
