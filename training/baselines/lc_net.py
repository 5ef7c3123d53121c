"""LC-Net: a Bayesian neural network with a layer of learning-curve basis functions (Klein et al., ICLR 2017).

Its inputs are a configuration and an epoch; the first epochs of the networks to predict are further training data, as
in the paper. The posterior is approximated by variational inference (Pyro) where the paper samples it by SGHMC.
"""

from itertools import pairwise

import numpy as np
import pyro
import pyro.distributions as dist
import torch
from pyro.infer import SVI, Trace_ELBO
from pyro.infer.autoguide import AutoNormal
from pyro.nn import PyroModule, PyroSample
from pyro.optim import ClippedAdam
from torch import nn
from torch.nn import functional as F

from training.baselines import Floats

WIDTH = 64
BASES = 3
PARAMETERS = 3
STEPS = 400
BATCH = 1024
LEARNING_RATE = 0.01
DRAWS = 30


class _Bayesian(PyroModule):  # type: ignore[misc]
    """Three tanh layers whose weights have priors; the last gives the basis functions' parameters and the noise."""

    def __init__(self, features: int) -> None:
        super().__init__()
        sizes = (features, WIDTH, WIDTH, BASES * PARAMETERS + BASES + 2)
        self.layers = PyroModule[nn.ModuleList]([PyroModule[nn.Linear](a, b) for a, b in pairwise(sizes)])
        for layer in self.layers:
            scale = 1 / np.sqrt(layer.in_features)
            layer.weight = PyroSample(dist.Normal(0.0, scale).expand(layer.weight.shape).to_event(2))
            layer.bias = PyroSample(dist.Normal(0.0, 1.0).expand(layer.bias.shape).to_event(1))

    def forward(
        self,
        configuration: torch.Tensor,
        time: torch.Tensor,
        accuracy: torch.Tensor | None = None,
        weight: float = 1.0,
    ) -> torch.Tensor:
        hidden = torch.tanh(self.layers[0](configuration))
        hidden = torch.tanh(self.layers[1](hidden))
        out = self.layers[2](hidden)
        mean = self._curve(out, time)
        noise = F.softplus(out[..., -1] - 3) + 1e-3
        with pyro.poutine.scale(scale=weight), pyro.plate("points", len(time)):
            pyro.sample("accuracy", dist.Normal(mean, noise), obs=accuracy)
        return mean

    @staticmethod
    def _curve(out: torch.Tensor, time: torch.Tensor) -> torch.Tensor:
        """A start and weighted power, Hill and exponential functions, each growing from 0 towards 1 in time (0, 1]."""
        a, b, c = (F.softplus(out[..., i * BASES : (i + 1) * BASES]) + 1e-2 for i in range(PARAMETERS))
        weights = out[..., PARAMETERS * BASES : PARAMETERS * BASES + BASES]
        power = 1 - (1 + 20 * a[..., 0] * time) ** -b[..., 0]
        hill = time ** b[..., 1] / (0.2 * c[..., 1] + time ** b[..., 1])
        exponential = 1 - torch.exp(-5 * a[..., 2] * time ** b[..., 2])
        start = torch.sigmoid(out[..., -2] - 2)
        basis = torch.stack([power, hill, exponential], dim=-1)
        return start + (torch.sigmoid(weights) * basis).sum(-1) / BASES


class LCNet:
    """Fit to all curves known and the first epochs of those to predict.

    Args:
        seed: of the initial weights and of the draws.
        steps: of variational inference.
    """

    def __init__(self, seed: int = 0, steps: int = STEPS) -> None:
        self.seed, self.steps = seed, steps

    def fit(self, curves: Floats, features: Floats) -> None:
        """Keep the curves; the network is fitted when the first epochs of those to predict are known."""
        self.curves, self.features = curves, features

    def predict(self, seen: Floats, features: Floats) -> Floats:
        """Return the posterior mean at the last epoch."""
        pyro.set_rng_seed(self.seed)
        pyro.clear_param_store()
        mean, std = self.features.mean(axis=0), np.maximum(self.features.std(axis=0), 1e-3)
        known, query = (np.clip((values - mean) / std, -4, 4) for values in (self.features, features))
        epochs = self.curves.shape[1]
        ticks = np.arange(1, epochs + 1) / epochs
        configurations = np.vstack([np.repeat(known, epochs, axis=0), np.repeat(query, seen.shape[1], axis=0)])
        times = np.concatenate([np.tile(ticks, len(known)), np.tile(ticks[: seen.shape[1]], len(query))])
        accuracies = np.concatenate([self.curves.ravel(), seen.ravel()])
        x, t, y = (torch.from_numpy(values.astype(np.float32)) for values in (configurations, times, accuracies))
        measured = ~torch.isnan(y)
        x, t, y = x[measured], t[measured], y[measured]
        model = _Bayesian(x.shape[1])
        guide = AutoNormal(model, init_scale=0.01)
        inference = SVI(model, guide, ClippedAdam({"lr": LEARNING_RATE, "lrd": 0.1 ** (1 / self.steps)}), Trace_ELBO())
        for _ in range(self.steps):
            batch = torch.randint(len(y), (BATCH,))
            inference.step(x[batch], t[batch], y[batch], len(y) / BATCH)
        question = torch.from_numpy(query.astype(np.float32)), torch.ones(len(query))
        with torch.no_grad():
            draws = [pyro.poutine.condition(model, data=guide(*question))(*question) for _ in range(DRAWS)]
        predicted: Floats = torch.stack(draws).mean(0).clamp(0, 1).numpy().astype(np.float64)
        return predicted
