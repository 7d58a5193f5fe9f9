"""Checks that a trained zoom gives the same accuracy offline: ``foveal zoom`` rewrites the held-out images, and the classifier reads them."""

from pathlib import Path

import torch

from foveal.pipeline import ZoomLoader
from foveal.sampler import UniformSampler
from foveal.tools.bench.accuracy._tasks import AccuracyTask
from foveal.tools.offline.recipe import Recipe
from foveal.tools.offline.zoom import RunOptions, zoom_shards
from foveal.tools.training.options import TrainOptions
from foveal.tools.training.run import MODEL, SALIENCY
from foveal.tools.training.small_convnet import SmallConvNet
from foveal.tools.training.train import classify


def accuracy_offline(run: Path, task: AccuracyTask, options: TrainOptions) -> float:
    """Return the accuracy of a finished run's classifier on zoomed shards.

    The shards are those of ``foveal zoom --saliency saliency.pt``: JPEGs of quality 90. They stay in the
    run's folder.
    """
    recipe = Recipe(out_size=options.out_size, saliency=str(run / SALIENCY))
    zoom_shards(
        task.val, recipe, out=str(run / "zoomed"), options=RunOptions(num_threads=options.num_threads)
    )
    model = SmallConvNet(task.classes).eval()
    model.load_state_dict(torch.load(run / MODEL, weights_only=True, map_location="cpu"))
    urls = [str(run / "zoomed" / Path(url).name) for url in task.val]
    right = images_read = 0
    with torch.no_grad(), ZoomLoader(urls, UniformSampler(options.out_size), batch_size=64) as loader:
        model.to(loader.device)
        for images, labels in loader:
            right += int((classify(model, images, options.amp).argmax(1) == labels).sum())
            images_read += len(labels)
    return right / images_read
