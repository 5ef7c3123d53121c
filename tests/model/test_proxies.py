"""Zero-cost scores: each against a case by hand, and what measuring leaves as it is."""

import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

import peephole
from model.network.shapes import Shape
from model.proxies import scores
from model.proxies.measure import measure, measure_layers
from model.proxies.names import SCORES
from model.score_scale import ScoreScale
from model.torch_modules import build

ON, OFF = True, False
PATTERNS = torch.tensor([[ON, ON, OFF, ON], [OFF, ON, ON, OFF], [ON, ON, OFF, ON]])  # 3 images, 4 units
LAYERS = [
    {"type": "conv", "kernel_size": 3, "out_channels": 4},
    {"type": "batch_norm"},
    {"type": "relu"},
    {"type": "conv", "kernel_size": 3, "out_channels": 8, "stride": 2},
    {"type": "sigmoid"},
]
IMAGES = torch.randn(16, 3, 8, 8, generator=torch.Generator().manual_seed(0))


def test_swap_counts_distinct_patterns_of_units():
    """Over the images the units are 101, 111, 010, 101: three patterns, however they are spread over activations."""
    assert scores.swap([PATTERNS]) == pytest.approx(math.log10(3))
    assert scores.swap([PATTERNS[:, :1], PATTERNS[:, 1:]]) == pytest.approx(math.log10(3))
    assert math.isnan(scores.swap([]))


def test_regularised_swap_falls_off_around_a_size():
    assert scores.swap_regularised(math.log10(3), 50, 50, 40) == pytest.approx(3)
    assert scores.swap_regularised(math.log10(3), 60, 50, 100) == pytest.approx(3 / math.e)


def test_naswot_is_the_determinant_of_agreements():
    """Images 0 and 1 agree in one unit of four, 0 and 2 in all: with 1 added, [[5, 1, 4], [1, 5, 1], [4, 1, 5]]."""
    kernel = np.array([[5, 1, 4], [1, 5, 1], [4, 1, 5]])
    assert scores.naswot([PATTERNS]) == pytest.approx(math.log(np.linalg.det(kernel)))
    assert scores.agreement([PATTERNS]) == pytest.approx((1 + 4 + 1) / 3 / 4)
    assert scores.naswot_share([PATTERNS]) == pytest.approx(scores.naswot_share([PATTERNS, PATTERNS]))


def test_spread_contrast_and_sameness():
    values = torch.tensor([[1.0, 4.0], [3.0, 0.0]])
    assert scores.spread(values) == pytest.approx(math.log10((2**0.5 + 8**0.5) / 2))
    assert scores.contrast(values) == pytest.approx(math.log10((2**0.5 + 8**0.5) / 2 / 2))
    assert scores.sameness(values) == pytest.approx(math.log10(2))  # the rows correlate at -1
    assert scores.sameness(values[[0, 0]]) < -10


def test_norms_of_gradients_and_snip():
    weights, gradients = [torch.tensor([[1.0, -2.0]])], [torch.tensor([[3.0, 4.0]])]
    assert scores.norms(gradients) == [pytest.approx(math.log10(5))]
    assert scores.total_norm([*gradients, torch.full((1, 3), 5.0)]) == pytest.approx(1.0)  # 25 + 75 = 10 squared
    assert scores.snip(weights, gradients) == pytest.approx(math.log10(3 + 8))
    assert scores.total_norm([torch.zeros(1, 2)]) == math.log10(scores.SMALLEST)


def test_gradients_by_images_that_do_not_correlate_score_best():
    """The correlation matrix of orthogonal, centred gradients is the identity: -4 (log(1 + k) + 1 / (1 + k))."""
    hadamard = torch.tensor([[1.0, -1, 1, -1], [1, 1, -1, -1], [1, -1, -1, 1]])
    best = -3 * (math.log(1 + scores.JACOV_RIDGE) + 1 / (1 + scores.JACOV_RIDGE))
    assert scores.input_covariance(hadamard) == pytest.approx(best)
    assert scores.input_covariance(hadamard[[0, 0, 1]]) < best
    assert scores.input_norm(hadamard) == pytest.approx(math.log10(2))


def test_synflow_of_two_linear_layers():
    """Of weights a, b behind each other the flow is |a| |b|, and each weight's share is all of it: 2 |a| |b|."""
    module = nn.Sequential(nn.Flatten(), nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False))
    with torch.no_grad():
        module[1].weight.fill_(-3.0)
        module[2].weight.fill_(5.0)
    assert scores.synflow(module, (1, 1, 1)) == pytest.approx(math.log10(2 * 15))
    assert module[1].weight.item() == -3.0


def test_descent_starts_at_the_loss_and_follows_the_optimizer():
    module = nn.Sequential(nn.Flatten(), nn.Linear(192, 4))
    labels = torch.arange(16) % 4
    found = scores.descent(module, IMAGES, labels, 2)
    assert found[0] == pytest.approx(math.log10(F.cross_entropy(module(IMAGES), labels).item()))
    optimizer = torch.optim.SGD(module.parameters(), scores.LEARNING_RATE, scores.MOMENTUM)
    F.cross_entropy(module(IMAGES), labels).backward()
    nn.utils.clip_grad_norm_(module.parameters(), scores.CLIP)
    optimizer.step()
    assert found[1] == pytest.approx(math.log10(F.cross_entropy(module(IMAGES), labels).item()))
    assert found[2] < found[1] < found[0]


def test_all_scores_are_measured_and_the_module_stays_as_it_is():
    """Neither weights, running statistics, modes, gradients nor torch's random numbers change; a seed says it all."""
    module = build(LAYERS, Shape(3, 8, 8), 4)
    module.layers[1].eval()
    before = {name: one.clone() for name, one in module.state_dict().items()}
    state = torch.get_rng_state()
    found = peephole.proxies(module, IMAGES, seed=3)
    assert found.keys() == SCORES.keys()
    assert all(torch.equal(before[name], one) for name, one in module.state_dict().items())
    assert not module.layers[1].training
    assert module.layers[0].training
    assert all(one.grad is None for one in module.parameters())
    assert torch.equal(torch.get_rng_state(), state)
    assert measure(module, IMAGES, seed=3) == found
    assert measure(module, IMAGES, seed=4) != found  # other labels


def test_a_networks_scores_follow_from_its_layers():
    labels = torch.arange(16) % 4
    found = measure_layers(LAYERS, Shape(3, 8, 8), 4, IMAGES, labels)
    torch.manual_seed(99)
    assert measure_layers(LAYERS, Shape(3, 8, 8), 4, IMAGES, labels) == found


class Functional(nn.Module):
    """Activations that are functions, not modules."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.head = nn.Conv2d(3, 4, 3), nn.Linear(4, 4)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.head(F.relu(self.conv(images)).mean((2, 3)))


def test_activations_may_be_functions():
    module = Functional()
    same = nn.Sequential(module.conv, nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), module.head)
    labels = torch.arange(16) % 4
    one, other = measure(module, IMAGES, labels), measure(same, IMAGES, labels)
    assert one == pytest.approx(other, rel=1e-4)
    assert {"swap", "naswot", "feature_spread"} <= one.keys()


def test_what_overflows_is_left_out():
    """Logits beyond the range of floats: their scores are missing, those of the activations are there."""
    module = build(LAYERS, Shape(3, 8, 8), 4)
    with torch.no_grad():
        module.head.weight.fill_(3e38)
    found = measure(module, IMAGES)
    assert "logit_spread" not in found
    assert "loss_0" not in found
    assert "swap" in found
    assert all(math.isfinite(value) for value in found.values())


@pytest.mark.parametrize(
    ("module", "images"),
    [(nn.Flatten(), IMAGES), (nn.Conv2d(3, 4, 3), IMAGES), (Functional(), IMAGES[:1]), (Functional(), IMAGES[0])],
)
def test_what_cannot_be_scored_is_rejected(module, images):
    with pytest.raises(ValueError, match="must"):
        measure(module, images)


def test_scores_are_scaled_by_their_ranks():
    """An outlier is but the last; the scale takes in only what all networks have."""
    scale = ScoreScale.of([{"a": 1.0, "b": 1}, {"a": 2.0}, {"a": -1e8}])
    assert scale.names == ("a",)
    scaled = scale([{"a": -1e8}, {"a": 1.0}, {"a": 1.5}, {"a": 2.0}, {"a": 1e9}])[:, 0]
    assert scaled[1] == pytest.approx(0)
    assert scaled[0] == pytest.approx(-scaled[3])
    assert 0 < scaled[2] < scaled[3] == scaled[4]
