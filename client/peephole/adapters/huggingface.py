"""An adapter to the Trainer of Hugging Face: a callback that ends a hopeless run."""

from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from .loop import TrainingRun
from .rule import metric_in

TOLERANCE = 0.01  # of an epoch: an evaluation that is further from its end is not looked at


class PeepholeCallback(TrainerCallback):
    """End a run that is not worth finishing.

    Example:
        ```python
        callback = PeepholeCallback(EarlyStopper(predictor).start(layers), metric="eval_accuracy")
        Trainer(model, TrainingArguments(eval_strategy="epoch", ...), callbacks=[callback], ...).train()
        ```

    A run that goes on from a checkpoint knows its earlier epochs from the trainer's log.

    Args:
        run: of the search, from `EarlyStopper.start`.
        metric: name of the validation accuracy, 0 to 1, that is evaluated after every epoch.
    """

    def __init__(self, run: TrainingRun, metric: str = "eval_accuracy") -> None:
        self.run, self.metric = run, metric

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Take over the accuracies of a checkpoint."""
        del args, control, kwargs
        for logged in state.log_history:
            epoch = _whole(logged.get("epoch"))
            if epoch is not None and self.metric in logged:
                self.run.reports[epoch] = float(logged[self.metric])

    def on_evaluate(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        metrics: dict[str, float] | None = None,
        **kwargs: Any,
    ) -> None:
        """Record the accuracy after an epoch."""
        del args, kwargs
        accuracy, epoch = metric_in(metrics or {}, self.metric), _whole(state.epoch)
        if accuracy is None:
            self.run.warn("metric", f"nothing is evaluated as {self.metric!r}")
        elif epoch is not None and self.run.should_stop(accuracy, epoch):
            control.should_training_stop = True

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Let a finished run count."""
        del args, state, control, kwargs
        self.run.finish()


def _whole(epoch: float | None) -> int | None:
    """Return the epoch that just ended; `None` within one, and before the first has ended."""
    whole = round(epoch or 0)
    return whole if whole and abs((epoch or 0) - whole) <= TOLERANCE else None
