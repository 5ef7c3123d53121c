"""Lightning's Trainer with the callback."""

import pickle

import pytest

from peephole.adapters.loop import EarlyStopper
from tests.client.adapters.trainables import curve_of

lightning = pytest.importorskip("lightning.pytorch")
import torch  # noqa: E402

from peephole.adapters.lightning import PeepholeCallback  # noqa: E402


class Replay(lightning.LightningModule):
    """A module whose validation accuracy is that of a curve."""

    def __init__(self, curve):
        super().__init__()
        self.curve, self.layer = curve, torch.nn.Linear(1, 1)

    def training_step(self, batch, _):
        return self.layer(batch).sum()

    def validation_step(self, batch, _):
        self.log("val_accuracy", self.curve[self.current_epoch])

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.01)


def train(run, curve, folder, *, epochs=20, checkpoint=None):
    data = torch.utils.data.DataLoader(torch.zeros(1, 1))
    trainer = lightning.Trainer(
        max_epochs=epochs,
        accelerator="cpu",
        callbacks=[PeepholeCallback(run, "val_accuracy")],
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=folder,
    )
    trainer.fit(Replay(curve), data, data, ckpt_path=checkpoint)
    return trainer


def test_hopeless_runs_end_and_the_best_counts(predictor, tmp_path):
    search = EarlyStopper(predictor)
    assert train(search.start(), curve_of(0), tmp_path).current_epoch == 20
    assert search.best == pytest.approx(curve_of(0)[-1])
    assert train(search.start(), curve_of(1), tmp_path).current_epoch <= 3
    assert train(search.start(), curve_of(2), tmp_path).current_epoch <= 3
    assert search.best == pytest.approx(curve_of(0)[-1])


def test_a_run_goes_on_from_a_checkpoint(predictor, tmp_path):
    first = train(EarlyStopper(predictor).start(), curve_of(0), tmp_path, epochs=3)
    first.save_checkpoint(tmp_path / "saved.ckpt")
    run = EarlyStopper(predictor).start()
    train(run, curve_of(0), tmp_path, epochs=5, checkpoint=tmp_path / "saved.ckpt")
    assert list(run.reports.values()) == pytest.approx(curve_of(0)[:5])


def test_a_name_that_is_not_logged_is_warned_of(predictor, tmp_path, warnings):
    run = EarlyStopper(predictor).start()
    callback = pickle.loads(pickle.dumps(PeepholeCallback(run, "accuracy")))
    data = torch.utils.data.DataLoader(torch.zeros(1, 1))
    options = {"logger": False, "enable_progress_bar": False, "default_root_dir": tmp_path, "accelerator": "cpu"}
    lightning.Trainer(max_epochs=2, callbacks=[callback], **options).fit(Replay(curve_of(0)), data, data)
    assert warnings == ["Peephole: nothing is logged as 'accuracy'"]
