"""Members learn from other tasks first, but never of a network that they are to predict."""

from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from typer.testing import CliRunner

from cli.main import app
from model.artifact import read_artifact, read_networks
from model.continuation import CONTINUATION_FILE
from model.encoding.layer_code import EXTENDED
from model.network.shapes import Shape
from training.fitting.calibrate import predict_table
from training.fitting.ensemble_config import EnsembleConfig
from training.fitting.ensemble_members import Data, fit_member
from training.fitting.fit import fit
from training.fitting.fit_ensemble import fit_ensemble
from training.metrics import tau
from training.observations.dataset import image_of, to_dataset
from training.observations.observation import Observation, ObservationError, split_of
from training.observations.pretraining import pretraining_table, pretraining_tables, without_held_out
from training.observations.read import read

DATA = Path(__file__).parents[3] / "data"
IMAGE = Shape(3, 32, 32)


@dataclass(frozen=True)
class Tiny(EnsembleConfig):
    """Settings that take no time."""

    members: int = 1
    passes: int = 1
    pretraining_passes: int = 1
    attempts: int = 1


TINY = Tiny()


def network(width, task, *, epochs=2, by_ratio=False):
    second = {"channel_ratio": 2.0} if by_ratio else {"out_channels": 2 * width}
    layers = [
        {"type": "conv", "kernel_size": 3, "out_channels": width},
        {"type": "conv", "kernel_size": 1 + width % 5} | second,
    ]
    return Observation(task=task, layers=layers, accuracy=[width / 100 + epoch / 50 for epoch in range(epochs)])


def test_networks_measured_elsewhere_help_where_few_were_measured_here():
    """Fitted to 30 networks of cifar10-mini, without and with 200 of mnist-mini, none of them one that is asked for."""
    own, other = (read(DATA / f"{name}.parquet")[:300] for name in ("cifar10-mini", "mnist-mini"))
    table = to_dataset(own, EXTENDED, image_of(own))
    fitting, asked = table.rows(np.arange(30)), table.rows(np.arange(30, 160))
    pretraining = pretraining_table(other, EXTENDED, image_of(own)).without(asked)
    assert not set(pretraining.table.network_ids) & set(asked.network_ids)
    config = EnsembleConfig(members=1, passes=15, pretraining_passes=8, gp_weight=0.0, attempts=1)
    taus = []
    for others in ([], [pretraining]):
        predictor = fit_ensemble(fitting, image_of(own), config, pretraining=others)
        taus.append(tau(asked.final, predict_table(predictor, asked)[0][:, -1]))
    assert taus[1] > taus[0] + 0.02


def test_what_a_fold_is_to_predict_is_learnt_nowhere():
    """Left out by hash, and by look where another table spells a network differently."""
    table = to_dataset([network(width, "mine") for width in range(4, 24)], EXTENDED, IMAGE)
    elsewhere = [network(width, "other", by_ratio=width % 2 == 0) for width in range(4, 34)]
    pretraining = pretraining_table(elsewhere, EXTENDED, IMAGE)
    (left,) = without_held_out([pretraining], table, table.rows(np.arange(5)))
    assert [curve[0] for curve in left.table.curves] == [width / 100 for width in (*range(4, 9), *range(24, 34))]


def test_a_table_of_several_tasks_is_several_tables():
    rows = [network(width, task) for width in range(4, 14) for task in ("one", "other")]
    pretraining = pretraining_tables([rows, rows[:4]], "mine", EXTENDED, IMAGE, "all")
    assert [one.task for one in pretraining] == ["one", "other"]
    assert [len(one.table) for one in pretraining] == [10, 10]
    assert [one.task for one in pretraining_tables([rows], "one", EXTENDED, IMAGE, "all")] == ["other"]
    with pytest.raises(ObservationError, match="no task but one"):
        pretraining_tables([[row for row in rows if row.task == "one"]], "one", EXTENDED, IMAGE, "all")


def test_a_task_without_a_network_in_the_train_split_is_left_out():
    rows = [network(width, "many") for width in range(4, 24)]
    few = next(one for width in range(4, 99) if (one := network(width, "few")).split == "test")
    assert [one.task for one in pretraining_tables([[*rows, few]], "mine", EXTENDED, IMAGE, "train")] == ["many"]


def test_networks_too_deep_for_the_own_images_are_learnt_from_elsewhere():
    pools = [{"type": "max_pool", "kernel_size": 2}] * 4
    layers = [{"type": "conv", "kernel_size": 3, "out_channels": 8}, *pools]
    row = Observation(task="other", layers=layers, accuracy=[0.5], resolution=32)
    own = to_dataset([network(8, "mine")], EXTENDED, Shape(3, 8, 8))
    assert len(pretraining_table([row], EXTENDED, Shape(3, 8, 8)).without(own).table) == 1


def test_the_command_says_what_it_began_from_and_evaluation_counts_it(tmp_path, monkeypatch):
    monkeypatch.setattr("training.fitting.fit.EnsembleConfig", Tiny)
    tables = []
    for name, widths, epochs in (("mine", range(4, 44), 2), ("other", range(24, 64), 3)):
        path = tmp_path / f"{name}.jsonl"
        path.write_text("".join(network(w, name, epochs=epochs).model_dump_json() + "\n" for w in widths))
        tables.append(path)
    out = tmp_path / "fitted"
    arguments = ["fit", "--table", str(tables[0]), "--out", str(out), "--split", "train"]
    ran = CliRunner().invoke(app, [*arguments, "--pretrain", str(tables[1])])
    assert ran.exit_code == 0, ran.output
    loaded = read_artifact(out)
    listed = read_networks(loaded)
    assert all(split_of(name) == "train" for name in listed), "nothing of the test split was learnt, there or here"
    assert loaded.card.training["pretrained_on"].keys() == {"other"}
    assert loaded.card.training["networks"] < len(listed) == loaded.card.training["networks_listed"]
    first = (out / CONTINUATION_FILE).read_bytes()
    ran = CliRunner().invoke(app, ["fit-continuation", "--artifact", str(out)])
    assert ran.exit_code == 0, ran.output
    assert (out / CONTINUATION_FILE).read_bytes() == first, "it learns from what the fit kept"


def test_the_lstm_of_the_paper_is_not_pretrained(tmp_path):
    table = tmp_path / "t.jsonl"
    table.write_text("".join(network(width, "mine").model_dump_json() + "\n" for width in range(4, 34)))
    arguments = ["fit", "--table", str(table), "--out", str(tmp_path), "--code", "paper"]
    ran = CliRunner().invoke(app, [*arguments, "--pretrain", str(table)])
    assert ran.exit_code == 2
    assert "the paper's LSTM" in ran.output


def test_without_other_tasks_nothing_changes(tmp_path):
    rows = [network(width, "mine") for width in range(4, 34)]
    first = fit(rows, tmp_path / "a", config=TINY)
    assert fit(rows, tmp_path / "b", config=TINY, pretraining=[]).card.sha256 == first.card.sha256
    assert "pretrained_on" not in first.card.training


def test_too_few_networks_do_not_refit_a_member(monkeypatch):
    """In small tables a member is trained once, whatever it reaches; in larger ones a collapsed one is trained anew."""
    trained = []
    monkeypatch.setattr("training.fitting.ensemble_members._train_member", lambda *_: trained.append(1))
    monkeypatch.setattr("training.fitting.ensemble_members._validation_tau", lambda *_: 0.0)
    for count, expected in ((40, 1), (100, 3)):
        trained.clear()
        fit_member(Data(SimpleNamespace(lengths=range(count)), []), EnsembleConfig(), 0)
        assert len(trained) == expected
