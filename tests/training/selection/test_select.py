"""Selection finds the networks predicted best, and writes them at other widths."""

import json
from types import SimpleNamespace

import pytest
import torch
from typer.testing import CliRunner

from cli.main import app
from model.artifact import read_artifact, shipped
from model.encoding.layer_code import encode, pad
from model.network.schema import ARCHITECTURE
from model.network.shapes import Shape
from model.runtime import Predictor
from model.torch_modules import build
from training.measuring.collect import plan
from training.protocols import PROTOCOLS
from training.selection.select import select
from training.selection.widen import full_image, widen

TASK = "mnist-mini"
PROTOCOL = PROTOCOLS[TASK]


@pytest.fixture(scope="module")
def predictor():
    (folder,) = [folder for folder in shipped() if folder.name == TASK]
    return Predictor(read_artifact(folder))


def test_the_best_of_a_population_are_found_in_order(predictor, monkeypatch):
    """Chunks and batches of similar lengths give the same as predicting every network alone."""
    monkeypatch.setattr("training.selection.select.CHUNK", 16)
    monkeypatch.setattr("training.selection.select.BATCH", 5)
    counted = []
    found = select(predictor, candidates=40, top=4, seed=3, on_candidates=counted.append)
    alone = {}
    for sampled, _ in zip(PROTOCOL.population(3), range(40), strict=False):
        codes = encode(sampled.layers, predictor.card.layer_code, PROTOCOL.image).codes
        curves = predictor.run(*pad([codes]), [predictor.card.epochs])
        alone[sampled.network_id] = float(curves.accuracy[0, 0])
    best = sorted(alone, key=lambda one: -alone[one])[:4]
    assert sum(counted) == 40
    assert [one.network.network_id for one in found] == best
    for one in found:
        assert one.accuracy == pytest.approx(alone[one.network.network_id], abs=1e-5)
        assert one.lower <= one.accuracy <= one.upper


def test_the_seed_fixes_the_population_and_another_gives_another():
    first, again, other = (
        [one.network_id for one, _ in zip(PROTOCOL.population(seed), range(30), strict=False)] for seed in (1, 1, 2)
    )
    assert first == again
    assert len(set(first)) == 30
    assert len(set(first) & set(other)) < 10


def test_without_a_seed_the_population_is_the_one_that_is_measured():
    sampled = [(one.network_id, one.layers) for one, _ in zip(PROTOCOL.population(), range(5), strict=False)]
    assert sampled == [(job.network_id, job.layers) for job in plan(PROTOCOL, 5)]


def test_json_is_a_body_for_predict_and_widen_writes_networks_that_pytorch_builds(tmp_path):
    arguments = ["--task", TASK, "--candidates", "20", "--top", "2", "--json", "--widen", "16", "--out", str(tmp_path)]
    found = CliRunner().invoke(app, ["select", *arguments])
    assert found.exit_code == 0, found.output
    body = json.loads(found.stdout)
    assert body["task"] == TASK
    for network in body["architectures"]:
        assert ARCHITECTURE.validate_json(json.dumps(network))["layers"][0]["out_channels"] == PROTOCOL.width
    for rank in (1, 2):
        written = tmp_path / f"mnist_mini_{rank}_width16.json"
        network = ARCHITECTURE.validate_json(written.read_text())
        assert network["layers"][0]["out_channels"] == 16
        module = build(network["layers"], PROTOCOL.image, 10)
        assert module(torch.zeros(2, 1, 14, 14)).shape == (2, 10)


@pytest.mark.parametrize("width", [16, 64])
def test_a_widened_skeleton_keeps_the_block_and_scales_the_stages(width):
    sampled = next(PROTOCOL.population(5))
    narrow, wide = (widen(sampled.block, PROTOCOL, width=one).layers for one in (PROTOCOL.width, width))
    assert narrow == sampled.layers
    assert len(wide) == len(narrow)
    for before, after in zip(narrow, wide, strict=True):
        if before["type"] == "conv" and "out_channels" in before:
            assert after["out_channels"] * PROTOCOL.width == before["out_channels"] * width
        else:
            assert after == before


def test_full_resolution_is_the_data_sets():
    assert full_image(PROTOCOL) == Shape(1, 28, 28)
    assert full_image(PROTOCOLS["cifar10-mini"]) == Shape(3, 32, 32)
    sampled = next(PROTOCOL.population(5))
    assert widen(sampled.block, PROTOCOL, width=8, full_resolution=True).image == Shape(1, 28, 28)


def test_a_task_without_a_protocol_is_rejected(predictor):
    elsewhere = SimpleNamespace(card=predictor.card.model_copy(update={"task": "metaqnn-cifar10"}))
    with pytest.raises(ValueError, match=r"no protocol is named metaqnn-cifar10.*cifar10-mini"):
        select(elsewhere, candidates=1, top=1)
