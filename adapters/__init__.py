"""Stop hopeless runs from inside Optuna, Ray Tune or any training loop.

Each adapter has an early-stopping client (`adapters.early_stopping_client`): a running service, or an artifact loaded
into this process. It returns the probability that a run ends at or below the best final accuracy so far (Baker et al.,
arXiv 1705.10823).
"""
