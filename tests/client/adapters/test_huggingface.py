"""The Trainer of Hugging Face with the callback."""

import pickle

import pytest

from peephole.adapters.loop import EarlyStopper
from tests.client.adapters.trainables import curve_of

transformers = pytest.importorskip("transformers")
pytest.importorskip("accelerate")
import torch  # noqa: E402

from peephole.adapters.huggingface import PeepholeCallback  # noqa: E402


class Tiny(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(1, 2)

    def forward(self, x, labels=None):
        logits = self.layer(x)
        return {"loss": torch.nn.functional.cross_entropy(logits, labels), "logits": logits}


def train(run, curve, folder, *, epochs=20, resume=None, metric="accuracy", save="no"):
    """Train for some epochs; the accuracies are those of a curve."""
    data = [{"x": torch.zeros(1), "labels": torch.tensor(0)}] * 2
    options = transformers.TrainingArguments(
        output_dir=str(folder),
        num_train_epochs=epochs,
        eval_strategy="epoch",
        save_strategy=save,
        report_to=[],
        use_cpu=True,
        disable_tqdm=True,
    )
    trainer = transformers.Trainer(Tiny(), options, train_dataset=data, eval_dataset=data)
    trainer.compute_metrics = lambda _: {metric: curve[round(trainer.state.epoch) - 1]}
    trainer.add_callback(PeepholeCallback(run))
    trainer.train(resume_from_checkpoint=resume)
    return trainer.state.epoch


def test_hopeless_runs_end_and_the_best_counts(predictor, tmp_path):
    search = EarlyStopper(predictor)
    assert train(search.start(), curve_of(0), tmp_path) == 20
    assert search.best == pytest.approx(curve_of(0)[-1])
    assert train(search.start(), curve_of(1), tmp_path) <= 3
    assert train(search.start(), curve_of(2), tmp_path) <= 3


def test_a_run_goes_on_from_a_checkpoint(predictor, tmp_path):
    train(EarlyStopper(predictor).start(), curve_of(0), tmp_path, epochs=3, save="epoch")
    run = EarlyStopper(predictor).start()
    train(run, curve_of(0), tmp_path, epochs=5, resume=True)
    assert [run.reports[epoch] for epoch in range(1, 6)] == pytest.approx(curve_of(0)[:5])


def test_a_metric_that_is_not_evaluated_is_warned_of(predictor, tmp_path, warnings):
    train(EarlyStopper(predictor).start(), curve_of(0), tmp_path, epochs=2, metric="f1")
    assert warnings == ["Peephole: nothing is evaluated as 'eval_accuracy'"]


def test_the_callback_can_be_pickled(predictor):
    run = EarlyStopper(predictor, best=0.9).start()
    assert pickle.loads(pickle.dumps(PeepholeCallback(run))).run.should_stop(0.1)
