"""Adapters to Optuna: a pruner, and a sampler that chooses among candidates of another."""

from .pruner import PeepholePruner
from .sampler import PeepholeSampler

__all__ = ["PeepholePruner", "PeepholeSampler"]
