"""Accuracy read off weights, with real networks' statistics."""

import shutil
from copy import copy
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import save
from safetensors.torch import save as torch_save
from safetensors.torch import save_file

from model.artifact import ZOO, unpack_arrays
from model.artifact import shipped as artifacts
from model.calibration import MOST_FAR
from model.torch_modules import build
from model.weight_features import features
from model.weights import (
    WEIGHTS_ARRAYS_FILE,
    WEIGHTS_FILE,
    WeightsPredictor,
    intervals,
    read_weights_predictor,
)
from model.weights_distance import WeightsDistance
from model.weights_file import read_weights
from tests.training.conftest import QUICK
from training.metrics import tau
from training.observations.observation import Observation, ObservationError
from training.protocols import PROTOCOLS
from training.weights.dataset import to_weights_dataset
from training.weights.fit import by_reader, cross_validated, fit_distance, read_table
from training.weights.members import fit_reader


def network(seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    shapes = {
        "layer0.weight": (8, 1, 3, 3),
        "layer0.bias": (8,),
        "layer3.weight": (16, 8, 3, 3),
        "head.weight": (10, 16),
    }
    return {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}


@pytest.mark.parametrize("kind", [torch.float16, torch.float64])
def test_half_and_double_precision_are_read(kind: torch.dtype, predictor: WeightsPredictor) -> None:
    tensors = {name: torch.from_numpy(values) for name, values in network().items()}
    expected = predictor.predict(read_weights(torch_save(tensors)))
    got = predictor.predict(read_weights(torch_save({name: tensor.to(kind) for name, tensor in tensors.items()})))
    assert got.accuracy == pytest.approx(expected.accuracy, abs=0.05)


def test_weights_tell_good_networks_from_bad(rows: list[Observation]) -> None:
    """Networks never seen, 60 real ones: the ranking is far from chance, with final weights and after a quarter."""
    for moment in ("final", "quarter"):
        table = to_weights_dataset(rows, moment)
        assert tau(table.final, cross_validated(table, by_reader(QUICK)).predicted) > 0.4


def test_another_task_is_learnt_from_first_but_for_the_architectures_that_are_asked_for(
    rows: list[Observation],
) -> None:
    """Its labels reach what is read; those of a network that is predicted do not."""
    table = to_weights_dataset(rows, "final")
    first, second = table.only(np.arange(40)), table.only(np.arange(40, len(table.final)))
    right = table.without(first)
    wrong = replace(right, final=1 - right.final)
    ways = [read_table(fit_reader(first, pretraining=[one], config=QUICK), second) for one in (right, wrong)]
    assert np.abs(ways[0] - second.final).mean() < np.abs(ways[1] - second.final).mean()
    seen: list[int] = []

    def fit(training, others):  # type: ignore[no-untyped-def]
        def reads(asked):  # type: ignore[no-untyped-def]
            assert not set(asked.groups) & {*training.groups, *others[0].groups}
            seen.append(len(asked.final))
            return np.full(len(asked.final), 0.5)

        return reads

    cross_validated(table, fit, [table])
    assert sum(seen) == len(table.final)


def test_an_answer_does_not_depend_on_those_beside_it(predictor: WeightsPredictor, rows: list[Observation]) -> None:
    table = to_weights_dataset(rows, "final")
    together = predictor.accuracies(table.layers, table.summary)
    alone = [predictor.accuracies([layers], row[None]) for layers, row in zip(table.layers, table.summary, strict=True)]
    np.testing.assert_allclose(together, np.concatenate(alone), atol=1e-6)


def test_networks_of_the_same_kind_are_near_and_untrained_ones_far(rows: list[Observation]) -> None:
    """Networks never seen, of the same table; the same networks as they are drawn; and what is known lies at 0."""
    table = to_weights_dataset(rows, "final")
    known, unseen = table.only(np.arange(45)), table.only(np.arange(45, len(table.final)))
    distance = fit_distance(known)
    assert distance(known.summary).max() < 0.01
    assert (distance(unseen.without(known).summary) <= 1).mean() > 0.8
    protocol = PROTOCOLS["mnist-mini"]
    for row in rows[:5]:
        module = build(row.layers, protocol.image, protocol.classes)
        drawn = features(read_weights(torch_save(module.state_dict())))
        assert distance(drawn[None]) > 1


def test_intervals_widen_far_from_the_training_set(rows: list[Observation]) -> None:
    """Unseen networks of the table against the same as they are drawn, and with all values ten times as large."""
    shipped = read_weights_predictor(ZOO / "mnist-mini")
    assert shipped is not None
    table = to_weights_dataset(rows, "final")
    known, rest = table.only(np.arange(45)), table.only(np.arange(45, len(table.final)))
    unseen, reader = rest.without(known), copy(shipped)
    reader.distance = fit_distance(known)
    usual = reader.intervals(unseen.layers, unseen.summary)
    protocol = PROTOCOLS["mnist-mini"]
    for row in rows[:5]:
        drawn = build(row.layers, protocol.image, protocol.classes).state_dict()
        for factor in (1, 10):
            found = reader.predict(read_weights(torch_save({name: factor * one for name, one in drawn.items()})))
            assert found.distance > 1
            assert found.upper - found.lower >= 2 * np.median(usual.upper - usual.lower)
            assert 0 <= found.lower <= found.accuracy <= found.upper <= 1


def test_the_margin_covers_nine_of_ten_with_the_widening(rows: list[Observation]) -> None:
    """Of the networks that gave it; where all are far, it is as much smaller as their intervals are widened."""
    table = to_weights_dataset(rows, "final")
    validated = cross_validated(table, by_reader(QUICK))
    margin = validated.margin(table.final)
    found = intervals(validated.raw, validated.distance, margin, validated.chance_level)
    inside = (table.final >= found.lower[:, 0] - 1e-6) & (table.final <= found.upper[:, 0] + 1e-6)
    assert inside.mean() >= 0.9
    far = replace(validated, distance=np.full(len(table.final), 2.0))
    assert far.margin(table.final) == pytest.approx(
        replace(far, distance=0 * far.distance).margin(table.final) / MOST_FAR
    )


def test_the_distance_survives_the_file(able: Path, predictor: WeightsPredictor, rows: list[Observation]) -> None:
    """A damaged one is rejected with the file's name."""
    table = to_weights_dataset(rows, "final")
    np.testing.assert_allclose(predictor.distance(table.summary + 1), fit_distance(table)(table.summary + 1), rtol=1e-9)
    arrays = unpack_arrays((able / WEIGHTS_ARRAYS_FILE).read_bytes())
    for broken in (arrays | {"mean": arrays["mean"][1:]}, arrays | {"known": arrays["known"][:0]}, {}):
        with pytest.raises(ValueError, match="array"):
            WeightsDistance.of(broken)


def test_networks_that_learnt_nothing_are_met_exactly(predictor: WeightsPredictor) -> None:
    """What is read below the card's threshold becomes its level, inside the interval."""
    weights, changed = read_weights(save(network())), copy(predictor)
    changed.card = predictor.card.model_copy(update={"chance_level": (0.0, 0.0)})
    read = changed.predict(weights).accuracy
    changed.card = predictor.card.model_copy(update={"chance_level": (0.8 * read, read + 0.01)})
    found = changed.predict(weights)
    assert found.accuracy == pytest.approx(0.8 * read)
    assert found.lower <= found.accuracy < read <= found.upper


def test_what_ships_reads_a_file() -> None:
    """Both mini tasks; real networks as drawn, before any training, are read as the chance that they are at."""
    shipped = {p.card.task: p for p in map(read_weights_predictor, artifacts()) if p is not None}
    assert set(shipped) == {"mnist-mini", "cifar10-mini"}
    for task, reader in shipped.items():
        protocol = PROTOCOLS[task]
        for layers in [one.layers for one in islice(protocol.population(), 6)]:
            module = build(layers, protocol.image, protocol.classes)
            assert reader.predict(read_weights(torch_save(dict(module.named_parameters())))).accuracy < 0.2


def test_too_few_rows_are_rejected(rows: list[Observation]) -> None:
    with pytest.raises(ObservationError, match="least"):
        to_weights_dataset(rows[:5], "final")


def test_the_card_says_how_good_it_is(predictor: WeightsPredictor) -> None:
    metrics = predictor.card.metrics
    assert metrics["onnx_difference"] <= 1e-5
    assert {"tau", "r2", "mae"} <= set(metrics["cross_validation"])
    training = predictor.card.training
    assert training["config"]["members"] == QUICK.members
    assert training["pretrained_on"] == [{"task": "mnist-mini", "rows": training["rows"]}]


def test_a_file_written_by_torch_is_read(tmp_path: Path, predictor: WeightsPredictor) -> None:
    save_file({name: torch.from_numpy(values) for name, values in network().items()}, tmp_path / "n.safetensors")
    got = predictor.predict(read_weights((tmp_path / "n.safetensors").read_bytes()))
    assert 0 <= got.lower <= got.accuracy <= got.upper <= 1


def test_a_changed_graph_is_rejected(able: Path, tmp_path: Path) -> None:
    shutil.copytree(able, tmp_path / "copy")
    (tmp_path / "copy" / WEIGHTS_FILE).write_bytes(b"not this")
    with pytest.raises(ValueError, match="sha256"):
        read_weights_predictor(tmp_path / "copy")
