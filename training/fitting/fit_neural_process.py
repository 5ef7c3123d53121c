"""Fits the neural process that predictions in context read: episodes of many tasks, then the export and its card."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch
from scipy.special import expit
from torch import nn

from model.artifact import digests, write_verified
from model.encoding.hand_features import ALL_FEATURES
from model.neural_process import INPUTS, OUTPUTS, PROCESS_CARD_FILE, PROCESS_FILE, NeuralProcess, ProcessCard
from model.onnx_network import OnnxNetwork
from model.predictors.export import TOLERANCE, TorchNetwork, opset, to_onnx
from model.predictors.neural_process import NeuralProcessNetwork
from training.fitting.process_tasks import Episode, ProcessTask, draw_episode
from training.observations.observation import ObservationError

KNOWN = (3, 5, 10, 20, 50, 100, 200)  # measured networks of an episode
ASKED = 64
LEAST = max(KNOWN) + ASKED
EPISODES = 8  # of a step
STEPS = 8000
RATE, DECAY, CLIP = 1e-3, 1e-2, 1.0  # learning rate, weight decay, largest norm of gradients
WARM_UP = 100  # steps
SMALLEST_RATE = 0.01  # of the first
FARTHEST = 5.0  # standard deviations of the measured logits that an episode's truth may be away


def fit_neural_process(
    tables: Sequence[Sequence[ProcessTask]],
    *,
    seed: int = 0,
    steps: int = STEPS,
    on_step: Callable[[], None] = lambda: None,
) -> NeuralProcessNetwork:
    """Fit a process to tasks.

    Args:
        tables: the tasks of each table; a table is drawn as often as another. A task has at least `LEAST` networks.
        seed: of weights and episodes.
        steps: of gradient descent.
        on_step: called after each.

    Raises:
        ObservationError: when there is no task, or one has too few networks.
    """
    tasks = [task for table in tables for task in table]
    small = [f"{task.name} has {len(task)}" for task in tasks if len(task) < LEAST]
    if small or not tasks:
        raise ObservationError(
            f"a neural process needs tasks of {LEAST} networks; {', '.join(small) or 'there is none'}"
        )
    rng = np.random.default_rng(seed)
    torch.manual_seed(seed)
    usual = np.sqrt(np.mean([task.features.var(axis=0) for task in tasks], axis=0))
    network = NeuralProcessNetwork(torch.from_numpy(usual)).train()
    optimizer = torch.optim.AdamW(network.parameters(), RATE, weight_decay=DECAY)
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = RATE * min((step + 1) / WARM_UP, max(SMALLEST_RATE, 1 - step / steps))
        known = int(rng.choice(KNOWN))
        drawn = [tables[int(rng.integers(len(tables)))] for _ in range(EPISODES)]
        episodes = [draw_episode(table[int(rng.integers(len(table)))], known, ASKED, rng) for table in drawn]
        optimizer.zero_grad()
        _loss(network, episodes).backward()
        nn.utils.clip_grad_norm_(network.parameters(), CLIP)
        optimizer.step()
        on_step()
    return network.eval()


def _loss(network: NeuralProcessNetwork, episodes: Sequence[Episode]) -> torch.Tensor:
    """Return the mean negative log density of the truth, but for a constant."""

    def stacked(name: str) -> torch.Tensor:
        return torch.from_numpy(np.stack([getattr(one, name) for one in episodes])).float()

    odds, truth = stacked("odds"), stacked("truth")
    seen = torch.ones(*truth.shape, odds.shape[1])
    mean, deviation = network.distribution(stacked("known"), odds, stacked("asked"), seen, stacked("kept"))
    centre, spread = network.scale(odds)
    truth = truth.clamp(centre - FARTHEST * spread, centre + FARTHEST * spread)
    scaled = deviation / spread
    return (scaled.log() + 0.5 * ((truth - mean) / deviation) ** 2).mean()


def write_process(
    folder: Path, network: NeuralProcessNetwork, tables: Sequence[Sequence[ProcessTask]], *, steps: int = STEPS
) -> ProcessCard:
    """Export a process and write its card.

    Args:
        folder: to write to.
        network: fitted.
        tables: that it was fitted to.
        steps: in which it was fitted.

    Raises:
        RuntimeError: when ONNX Runtime does not compute what PyTorch does.
    """
    content = to_onnx(network)
    card = ProcessCard(
        features=ALL_FEATURES,
        training={"networks": {task.name: len(task) for table in tables for task in table}, "steps": steps},
        opset=opset(content),
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        files=digests({PROCESS_FILE: content}),
    )
    exported = NeuralProcess(card, OnnxNetwork(content, PROCESS_FILE, INPUTS, OUTPUTS))
    process = NeuralProcess(card, TorchNetwork(network))
    for task in (task for table in tables for task in table):
        known, accuracies = task.features[:LEAST], expit(task.odds[:LEAST])
        found, expected = (one.leave_one_out(known, accuracies) for one in (exported, process))
        if (difference := float(np.abs(found - expected).max())) > TOLERANCE:
            raise RuntimeError(f"ONNX Runtime and PyTorch differ by {difference:.1e} on {task.name}")
    write_verified(folder, card, PROCESS_CARD_FILE, {PROCESS_FILE: content})
    return card
