"""An adapter to Lightning: a callback that ends a hopeless run."""

from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from .loop import TrainingRun


class PeepholeCallback(Callback):
    """End a run that is not worth finishing.

    Example:
        ```python
        search = EarlyStopper(peephole.load("cifar10-mini"))
        for layers in networks:
            callback = PeepholeCallback(search.start(layers), monitor="val_accuracy")
            Trainer(max_epochs=10, callbacks=[callback]).fit(module_of(layers), data)
        ```

    The module logs its validation accuracy, 0 to 1, at the end of every validation epoch. A run that goes on from a
    checkpoint knows its earlier epochs.

    Args:
        run: of the search, from `EarlyStopper.start`.
        monitor: name of the accuracy.
    """

    def __init__(self, run: TrainingRun, monitor: str) -> None:
        self.run, self.monitor = run, monitor

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Record the accuracy; the last validation of an epoch counts."""
        del pl_module
        accuracy = trainer.callback_metrics.get(self.monitor)
        if trainer.sanity_checking or trainer.state.fn != "fit":
            return
        if accuracy is None:
            self.run.warn("metric", f"nothing is logged as {self.monitor!r}")
        elif self.run.should_stop(float(accuracy), trainer.current_epoch + 1):
            trainer.should_stop = True

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Let a finished run count."""
        del trainer, pl_module
        self.run.finish()

    def state_dict(self) -> dict[str, Any]:
        """Return the accuracies so far, for the checkpoint."""
        return {"reports": dict(self.run.reports)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over the accuracies of a checkpoint."""
        self.run.reports.update(state_dict["reports"])
