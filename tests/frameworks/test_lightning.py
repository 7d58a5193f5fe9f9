"""Lightning beside the script of docs/frameworks.md: loaders that are given to it, and a few batches over and over."""

import pytest
import torch
from torch import nn

from foveal.pipeline import ZoomLoader
from foveal.sampler import UniformSampler

L = pytest.importorskip("lightning", reason="lightning is installed by `make test-all`")
ModelCheckpoint = pytest.importorskip("lightning.pytorch.callbacks").ModelCheckpoint
pytestmark = pytest.mark.slow


class Classifier(L.LightningModule):
    """Records which samples it gets in which epoch."""

    def __init__(self):
        super().__init__()
        self.network = nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 8, 10))
        self.seen = []

    def training_step(self, batch, index):
        images, labels, ordinals = batch
        self.seen.append((self.current_epoch, ordinals.tolist()))
        return nn.functional.cross_entropy(self.network(images), labels)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.1)


def fit(shards, *, shuffle, ckpt_path=None, **options):
    """Return the samples of each of three epochs, or of those that are left after a checkpoint."""
    urls = [str(shards / f"train-00000{k}.tar") for k in (0, 1)]
    loader = ZoomLoader(
        urls, UniformSampler(8), batch_size=8, shuffle=shuffle, fields=("image", "cls", "__index__")
    )
    classifier = Classifier()
    quiet = dict.fromkeys(("logger", "enable_progress_bar", "enable_model_summary"), False)
    options = {**quiet, "max_epochs": 3, "enable_checkpointing": "callbacks" in options, **options}
    L.Trainer(accelerator="cpu", **options).fit(classifier, loader, ckpt_path=ckpt_path)
    return [[batch for epoch, batch in classifier.seen if epoch == wanted] for wanted in range(3)]


def test_loaders_given_to_fit(shards):
    """Each epoch has all samples, in a different order."""
    epochs = fit(shards, shuffle=True)

    assert [sorted(k for batch in epoch for k in batch) for epoch in epochs] == [list(range(40))] * 3
    assert epochs[0] != epochs[1] != epochs[2]


def test_a_few_batches_over_and_over(shards):
    """With ``overfit_batches``, every epoch has the first batches of a loader that does not shuffle."""
    epochs = fit(shards, shuffle=False, overfit_batches=2)

    assert epochs == [[list(range(8)), list(range(8, 16))]] * 3


def test_resuming_between_epochs_that_are_cut_short(shards, tmp_path):
    """With ``limit_train_batches``, a training that resumes at the end of an epoch begins the next one."""
    saving = ModelCheckpoint(tmp_path, save_last=True, every_n_train_steps=6)
    whole = fit(shards, shuffle=True, limit_train_batches=3, max_epochs=3)
    fit(shards, shuffle=True, limit_train_batches=3, max_epochs=2, callbacks=[saving])
    rest = fit(shards, shuffle=True, limit_train_batches=3, ckpt_path=tmp_path / "last.ckpt")

    assert rest == [[], [], whole[2]]
