"""The adapters, with the real libraries and real curves."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from starlette.testclient import TestClient

from adapters.callback import EarlyStopper
from adapters.early_stopping_client import EarlyStoppingClient, InProcess, Service
from model.artifact import ArtifactError
from model.continuation import CONTINUATION_CARD_FILE
from service.api.examples import LAYERS
from tests.slices import Curves

EPOCHS = 5


@pytest.fixture
def early_stopping(folder: Path) -> EarlyStoppingClient:
    return InProcess(folder)


def test_service_and_process_agree(client: TestClient, folder: Path) -> None:
    """Both return the same, with layers and without."""
    here, there = InProcess(folder), Service("", "tiny", client=client)
    for layers in (None, LAYERS):
        assert there.below([0.3, 0.4], 0.6, layers) == pytest.approx(here.below([0.3, 0.4], 0.6, layers), abs=1e-6)


def test_a_rejection_of_the_service_is_raised(client: TestClient) -> None:
    with pytest.raises(ValueError, match=r"422.*observed"):
        Service("", "tiny", client=client).below([0.1] * 9, 0.5)


def test_a_folder_that_cannot_continue_is_rejected(tiny_paper_folder: Path) -> None:
    with pytest.raises(ArtifactError, match="fit-continuation"):
        InProcess(tiny_paper_folder)


def test_a_continuation_of_another_predictor_is_rejected(folder: Path, tmp_path: Path) -> None:
    stale = shutil.copytree(folder, tmp_path / "stale")
    card = json.loads((stale / CONTINUATION_CARD_FILE).read_text())
    (stale / CONTINUATION_CARD_FILE).write_text(json.dumps(card | {"predictor_sha256": "0" * 64}))
    with pytest.raises(ArtifactError, match=r"belongs to another predictor; refit it with `peephole fit-continuation`"):
        InProcess(stale)


@pytest.fixture
def tiny_paper_folder(tmp_path: Path) -> Path:
    from tests.service import graphs

    return graphs.artifact(tmp_path, "plain")


def test_the_callback_saves_epochs_and_keeps_the_best(early_stopping: EarlyStoppingClient, curves: Curves) -> None:
    """Real curves in their order: far fewer epochs, and the best network is found."""
    search = EarlyStopper(early_stopping)
    spent = 0
    for curve in curves.measured[:, :EPOCHS]:
        run = search.start()
        for accuracy in curve:
            spent += 1
            if run.should_stop(accuracy):
                break
        run.finish()
    assert search.best == pytest.approx(curves.measured[:, EPOCHS - 1].max(), abs=0.01)
    assert spent < 0.7 * len(curves.measured) * EPOCHS


@pytest.mark.parametrize("settings", [{"confidence": 0.4}, {"confidence": 1.0}, {"min_epochs": 0}])
def test_settings_out_of_bounds_are_rejected(early_stopping: EarlyStoppingClient, settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="but is"):
        EarlyStopper(early_stopping, **settings)


def test_optuna_prunes_hopeless_trials(early_stopping: EarlyStoppingClient, curves: Curves) -> None:
    """A real study over real curves: pruned trials end lower than the best, and the best is not pruned."""
    optuna = pytest.importorskip("optuna")
    from adapters.optuna_pruner import PeepholePruner

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    some = curves.measured[:40, :EPOCHS]

    def objective(trial: Any) -> float:
        curve = some[trial.number]
        for epoch, accuracy in enumerate(curve, 1):
            trial.report(float(accuracy), epoch)
            if trial.should_prune():
                raise optuna.TrialPruned
        return float(curve[-1])

    study = optuna.create_study(direction="maximize", pruner=PeepholePruner(early_stopping))
    study.optimize(objective, n_trials=len(some))
    pruned = [t.number for t in study.trials if t.state == optuna.trial.TrialState.PRUNED]
    assert len(pruned) > 10
    assert study.best_value == pytest.approx(some[:, -1].max(), abs=0.01)
    assert np.mean(some[pruned, -1] <= study.best_value) > 0.9


def test_the_optuna_pruner_names_what_it_cannot_use(early_stopping: EarlyStoppingClient) -> None:
    optuna = pytest.importorskip("optuna")
    from adapters.optuna_pruner import PeepholePruner

    minimising = optuna.create_study(direction="minimize", pruner=PeepholePruner(early_stopping))
    trial = minimising.ask()
    trial.report(0.5, 1)
    with pytest.raises(ValueError, match="maximize"):
        trial.should_prune()
    study = optuna.create_study(direction="maximize", pruner=PeepholePruner(early_stopping))
    study.add_trial(optuna.trial.create_trial(value=0.9))
    gap = study.ask()
    gap.report(0.5, 1)
    gap.report(0.6, 3)
    with pytest.raises(ValueError, match="without gaps"):
        gap.should_prune()


def test_layers_reach_the_client_through_a_trial(early_stopping: EarlyStoppingClient) -> None:
    """`set_user_attr("layers", ...)` changes what is asked."""
    optuna = pytest.importorskip("optuna")
    from adapters.optuna_pruner import PeepholePruner

    asked = []

    class Recorder:
        def below(self, observed: Any, best: float, layers: Any = None) -> float:
            asked.append((list(observed), best, layers))
            return early_stopping.below(observed, best, layers)

    study = optuna.create_study(direction="maximize", pruner=PeepholePruner(Recorder()))
    study.add_trial(optuna.trial.create_trial(value=0.9))
    trial = study.ask()
    trial.set_user_attr("layers", LAYERS)
    trial.report(0.2, 0)
    trial.should_prune()
    assert asked == [([0.2], 0.9, LAYERS)]


def test_ray_stops_hopeless_trials(early_stopping: EarlyStoppingClient, curves: Curves) -> None:
    """Driven as Ray drives it, one report at a time."""
    pytest.importorskip("ray.tune")
    from adapters.ray_stopper import PeepholeStopper

    some = curves.measured[:40, :EPOCHS]
    stopper = PeepholeStopper(early_stopping, metric="accuracy", epochs=EPOCHS)
    reports = 0
    for index, curve in enumerate(some):
        for accuracy in curve:
            reports += 1
            if stopper(f"trial-{index}", {"accuracy": accuracy, "config": {}}):
                break
    assert reports < 0.8 * some.size
    assert not stopper.stop_all()
    with pytest.raises(ValueError, match="accuracy"):
        stopper("other", {"loss": 1.0})
