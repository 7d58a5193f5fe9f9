"""Before ``foveal train`` trains a classifier: the boxes of the training set teach the saliency network where to look.

A network that learns from the classifier's loss alone learns slowly, because the classifier cannot read what is not
enlarged yet. Boxes show it directly where to look. Only low-resolution copies are read, so this takes a fraction of an
epoch's time.
"""

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from rich.console import Console
from torch import Tensor, nn

from foveal.sampler import BoxSaliency, SaliencySampler, UniformSampler
from foveal.sampler.saliency import SaliencyNeeds, softmax_map
from foveal.sampler.saliency.training import learns
from foveal.sampler.zooms import unwrapped
from foveal.tools.console.progress import progress_bar
from foveal.tools.console.sample_options import box_field
from foveal.tools.training._loader import open_loader, while_learning
from foveal.tools.training._ranks import Ranks
from foveal.tools.training._step_parts import lr_factor
from foveal.tools.training._training_mode import set_training
from foveal.tools.training.options import TrainOptions

# The saliency of a box relative to that of the rest of the image. With less the zoom is weaker; with more the classifier
# sees nothing around the box.
_AMPLITUDE = 6.0
_WARMUP = 0.1


def teach(
    urls: str | Sequence[str],
    zoom: nn.Module,
    options: TrainOptions,
    ranks: Ranks,
    *,
    log: Callable[..., None],
    console: Console,
) -> None:
    """Train the saliency network of a zoom until its maps are those of a :class:`BoxSaliency`.

    Args:
        urls: Shards with the boxes beside each image; an image without boxes teaches an even map.
        zoom: The sampler whose ``saliency`` is trained, in place.
        options: ``boxes``, ``box_format``, ``box_frame`` and ``teach_epochs`` control this; images are read as in the
            training. The peak learning rate is ``lr``, and that of a pretrained trunk ``lr * trunk_lr``.
        ranks: Gradients are averaged over these.
        log: Called as ``log("teach", step=0, teach_epoch=..., loss=...)`` after each epoch. The loss is the
            cross-entropy between the two maps, in nats.
        console: Where the progress is shown.

    Raises:
        ValueError: The zoom has no saliency network that looks at the image alone, or a frozen one.
    """
    zoom = _teachable(zoom)
    if not learns(zoom.saliency):
        raise ValueError(
            f"boxes must be None for a frozen saliency network, got {type(unwrapped(zoom.saliency)).__name__} without parameters that "
            "require gradients – call requires_grad_(True) on it."
        )
    set_training(zoom.saliency)
    student = ranks.share(zoom.saliency)
    boxes = box_field(options.boxes or "", options.box_format, options.box_frame)
    small = UniformSampler(zoom.lowres_size).to(ranks.device)  # the size of the network's input
    how = while_learning(options)
    optimizer = torch.optim.AdamW(options.zoom_groups(zoom.saliency, 1.0))
    with (
        open_loader(urls, small, options, ranks, fields=(boxes,), **how) as loader,
        progress_bar(console, unit="steps") as progress,
    ):
        steps = options.teach_epochs * len(loader)
        task = progress.add_task("Teaching the saliency network", total=steps)
        for epoch in range(options.teach_epochs):
            losses = []
            for step, (images, found) in enumerate(loader, start=epoch * len(loader)):
                for group in optimizer.param_groups:
                    group["lr"] = group["peak_lr"] * lr_factor(step, steps, _WARMUP)
                loss = _loss(student(images), images, found.boxes, zoom.temperature)
                optimizer.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]  # torch's own
                optimizer.step()
                losses.append(loss.detach())
                progress.advance(task)
            mean = float(ranks.sum(torch.stack(losses).mean())) / ranks.world_size
            log("teach", step=0, teach_epoch=epoch, loss=mean)
            console.print(f"teaching epoch {epoch + 1} of {options.teach_epochs}: loss {mean:.4g}")


def _loss(
    logits: Float[Tensor, "batch 1 rows cols"],
    images: Float[Tensor, "batch 3 height width"],
    boxes: Sequence[Tensor],
    temperature: float,
) -> Float[Tensor, ""]:
    """Return the cross-entropy from the boxes' map to that of the logits, in nats, as a mean over the batch."""
    rows, cols = logits.shape[2:]
    taught = BoxSaliency(map_size=(rows, cols), amplitude=_AMPLITUDE)(images, _fractions(boxes, images))
    told = (logits.float() / temperature).flatten(1).log_softmax(1)
    return -(softmax_map(taught).flatten(1) * told).sum(1).mean()


def _teachable(zoom: nn.Module) -> SaliencySampler:
    zoom = unwrapped(zoom)
    if isinstance(zoom, SaliencySampler) and not zoom.condition:
        needs = SaliencyNeeds.of(zoom.saliency)
        if not needs.takes_boxes and not needs.takes_maps and any(True for _ in zoom.saliency.parameters()):
            return zoom
    saliency = getattr(zoom, "saliency", zoom)
    raise ValueError(
        "boxes must be None for a zoom whose saliency has no weights, or looks at more than the image, got "
        f"{type(unwrapped(saliency)).__name__} – use SaliencySampler with SaliencyUNet."
    )


def _fractions(boxes: Sequence[Tensor], images: Float[Tensor, "batch 3 height width"]) -> list[Tensor]:
    height, width = images.shape[2:]
    return [each / each.new_tensor([width, height, width, height]) for each in boxes]
