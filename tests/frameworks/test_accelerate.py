"""Accelerate beside the script of docs/frameworks.md: accumulation, skipping, metrics, and what does not work."""

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader

from foveal.pipeline import ZoomLoader
from foveal.sampler import SaliencySampler, UniformSampler
from tests.frameworks.test_ranks import on_two_processes

accelerate = pytest.importorskip("accelerate", reason="accelerate is installed by `make test-all`")
pytestmark = pytest.mark.slow

METRICS = """
import torch
from accelerate import Accelerator
from foveal.pipeline import ZoomLoader
from foveal.sampler import SaliencySampler

accelerator = Accelerator(cpu=True)
zoom, model = SaliencySampler(8), torch.nn.Linear(1, 1)
loader = ZoomLoader(
    ["train-000000.tar", "val-000000.tar"], zoom, batch_size=5, last_batch="pad", fields=("image", "__index__")
)
with torch.no_grad():
    gathered = [accelerator.gather_for_metrics(ordinals) for _, ordinals in loader]
if accelerator.is_main_process:
    torch.save(torch.cat(gathered), "gathered.pt")
"""


def make(shards, zoom=None):
    urls = [str(shards / f"train-00000{k}.tar") for k in (0, 1)]
    return ZoomLoader(
        urls, zoom or UniformSampler(8), batch_size=8, shuffle=True, fields=("image", "cls", "__index__")
    )


def network():
    model = nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 8, 10))
    return model, torch.optim.SGD(model.parameters(), 0.1)


def around(loader):
    return DataLoader(loader.dataset, batch_sampler=loader.batch_sampler, collate_fn=loader.collate_fn)


@pytest.mark.parametrize("in_a_dataloader", [False, True])
def test_the_last_batch_steps_the_optimizer(shards, in_a_dataloader):
    """With accumulation over three of five batches, the optimizer steps after the third and the fifth."""
    accelerator = accelerate.Accelerator(cpu=True, gradient_accumulation_steps=3)
    mine = around(make(shards)) if in_a_dataloader else make(shards)
    model, optimizer, batches = accelerator.prepare(*network(), mine)
    stepped = []
    for _ in range(2):
        for images, labels, _ in batches:
            with accelerator.accumulate(model):
                accelerator.backward(nn.functional.cross_entropy(model(images), labels))
                stepped.append(accelerator.sync_gradients)
                optimizer.step()
                optimizer.zero_grad()

    assert (batches is mine) == (not in_a_dataloader)
    assert stepped == [False, False, True, False, True] * 2


def test_skipping(shards):
    """Skipped batches are not read, and those that follow are the same as without skipping."""
    accelerate.Accelerator(cpu=True)
    whole = [ordinals.tolist() for _, _, ordinals in make(shards)]
    loader = make(shards)
    rest = [ordinals.tolist() for _, _, ordinals in accelerate.skip_first_batches(loader, 2)]

    assert rest == whole[2:]
    assert loader.stats.batches == 3


def test_metrics_on_two_processes(new_folder):
    """Metrics are computed of each of 32 samples once and in order, although 40 fill the batches."""
    folder = new_folder()
    on_two_processes(METRICS, folder, "metrics")

    assert torch.load(folder / "gathered.pt").tolist() == list(range(32))


def test_metrics_of_a_prepared_dataloader(shards):
    """Metrics are computed of each of 40 samples once, although batches of seven are filled up."""
    accelerator = accelerate.Accelerator(cpu=True)
    loader = ZoomLoader(
        [str(shards / f"train-00000{k}.tar") for k in (0, 1)], UniformSampler(8), batch_size=7, last_batch="pad",
        fields=("image", "__index__"),
    )  # fmt: skip
    gathered = [
        accelerator.gather_for_metrics(ordinals) for _, ordinals in accelerator.prepare(around(loader))
    ]

    assert torch.cat(gathered).tolist() == list(range(40))


@pytest.mark.parametrize("trained", range(1, 10))
def test_the_state_of_a_prepared_dataloader(shards, tmp_path, trained):
    """As a stateful ``DataLoader`` it goes on with the batch that would have come next, if each pass is told its epoch."""
    config = accelerate.utils.DataLoaderConfiguration(use_stateful_dataloader=True)

    def begin():
        accelerator = accelerate.Accelerator(cpu=True, dataloader_config=config)
        return accelerator, accelerator.prepare(around(make(shards)))

    accelerator, batches = begin()
    whole = [ordinals.tolist() for _ in range(2) for *_, ordinals in batches]
    accelerator, batches = begin()
    for number, _ in enumerate((batch for _ in range(2) for batch in batches), start=1):
        if number == trained:
            accelerator.save_state(tmp_path)
            break
    accelerator, batches = begin()
    accelerator.load_state(tmp_path)
    rest = []
    for epoch in range(trained // len(batches), 2):
        batches.set_epoch(epoch)
        rest += [ordinals.tolist() for *_, ordinals in batches]

    assert rest == whole[trained:]


def test_a_prepared_dataloader_around_a_zoom_that_trains(shards):
    """Accelerate asks for a batch before the step of the previous one, and torch reports a modified weight."""
    accelerator = accelerate.Accelerator(cpu=True)
    zoom = SaliencySampler(8)
    loader = make(shards, zoom)
    model, _ = network()
    optimizer = torch.optim.SGD([*model.parameters(), *zoom.parameters()], 0.1)
    batches = accelerator.prepare(around(loader))

    def train():
        for images, labels, _ in batches:
            nn.functional.cross_entropy(model(images), labels).backward()
            optimizer.step()

    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        train()
