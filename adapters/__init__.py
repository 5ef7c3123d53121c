"""Stop hopeless runs from inside Optuna, Ray Tune or any training loop.

Each adapter asks a judge (`adapters.judge`), either a running service or an artifact loaded into this process, how
probable it is that a run ends at or below the best final accuracy so far (Baker et al., arXiv 1705.10823).
"""
