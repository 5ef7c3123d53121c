"""An Optuna study that stops hopeless trials and tries candidates that are predicted better.

python examples/optuna_pruning.py --protocol mnist-mini --trials 30
"""

import argparse

import optuna
from common import PROTOCOLS, final_accuracy, predictor_of
from optuna.distributions import CategoricalDistribution, IntDistribution

from peephole.adapters.optuna import PeepholePruner, PeepholeSampler

SPACE = {
    "width": IntDistribution(4, 16),
    "depth": IntDistribution(1, 3),
    "kernel": CategoricalDistribution([1, 3, 5]),
    "activation": CategoricalDistribution(["relu", "tanh", "sigmoid"]),
}


def network_of(parameters):
    conv = {"type": "conv", "kernel_size": parameters["kernel"], "out_channels": parameters["width"]}
    stage = [conv, {"type": "batch_norm"}, {"type": parameters["activation"]}] * parameters["depth"]
    return [*stage, {"type": "max_pool", "kernel_size": 2}, *stage]


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--protocol", default="mnist-mini", choices=["cifar10-mini", "mnist-mini", "digits-mini"])
    options.add_argument("--trials", type=int, default=30)
    given = options.parse_args()
    protocol, epochs = PROTOCOLS[given.protocol], []
    predictor = predictor_of(protocol)

    def objective(trial):
        parameters = {
            "width": trial.suggest_int("width", 4, 16),
            "depth": trial.suggest_int("depth", 1, 3),
            "kernel": trial.suggest_categorical("kernel", [1, 3, 5]),
            "activation": trial.suggest_categorical("activation", ["relu", "tanh", "sigmoid"]),
        }
        layers, curve = network_of(parameters), []
        trial.set_user_attr("layers", layers)

        def on_epoch(accuracy):
            curve.append(accuracy)
            epochs.append(accuracy)
            trial.report(accuracy, len(curve))
            if trial.should_prune():
                raise optuna.TrialPruned

        return final_accuracy(layers, protocol, on_epoch)

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    image = (protocol.in_channels, protocol.resolution, protocol.resolution)
    sampler = PeepholeSampler(predictor, network_of, space=SPACE, input=image)
    study = optuna.create_study(direction="maximize", sampler=sampler, pruner=PeepholePruner(predictor))
    study.optimize(objective, n_trials=given.trials)
    pruned = sum(trial.state == optuna.trial.TrialState.PRUNED for trial in study.trials)
    print(f"best accuracy {study.best_value:.3f} with {study.best_params}")
    print(f"{pruned} of {given.trials} trials pruned, {len(epochs)} of {given.trials * protocol.epochs} epochs trained")


if __name__ == "__main__":
    main()
