"""``foveal train``: a classifier and its zoom, trained together through the loader.

Plain PyTorch that can be copied: only the loader's ``zoom`` and its group of parameters are particular to a zoom.
"""

import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

import torch
from rich.console import Console
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from foveal.pipeline import ZoomLoader
from foveal.sampler import EvidenceTeacher, ZoomTrial, saliency_entropy
from foveal.tools.console.choices import Amp
from foveal.tools.console.progress import progress_bar
from foveal.tools.training._alone_in import alone_in
from foveal.tools.training._is_emulated import is_emulated
from foveal.tools.training._loader import open_loader, while_learning
from foveal.tools.training._ranks import Ranks, in_ranks
from foveal.tools.training._sheet import draw_validation
from foveal.tools.training._step_parts import blurred, channels_last, lr_factor
from foveal.tools.training._threads import room_for_the_loader
from foveal.tools.training._training_mode import set_training
from foveal.tools.training._zoom_checks import check_zoom
from foveal.tools.training.labels import count_classes
from foveal.tools.training.options import TrainOptions
from foveal.tools.training.run import TrainRun
from foveal.tools.training.small_convnet import SmallConvNet
from foveal.tools.training.teach import teach

Urls = str | Sequence[str]
_VERDICT = {
    True: "step {step}: images that are zoomed more have a lower loss (slope {errors:.1f} standard errors), so the zoom stays",
    False: "step {step}: images that are zoomed more have no clearly lower loss (slope {errors:+.1f} standard errors), so from here on all "
    "are resized evenly (--trial 0 keeps the zoom)",
}
_AMP = {"off": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def train(
    urls: Urls,
    out: str | Path,
    *,
    val: Urls = (),
    model: nn.Module | None = None,
    zoom: nn.Module | None = None,
    options: TrainOptions | None = None,
    resume: bool = False,
) -> dict[str, Any]:
    """Train a classifier on the zoomed images of labelled shards, and the zoom with it if it has trainable parameters.

    Writes to ``out``: ``metrics.jsonl``, a sheet of validation images for each epoch, ``last.pt`` to go on from, and at the
    end ``model.pt`` (the classifier's ``state_dict``) and ``saliency.pt``, which ``foveal zoom --saliency`` and
    :meth:`foveal.sampler.SaliencySampler.from_checkpoint` take. Under ``torchrun`` every rank calls it in the same way.

    Args:
        urls: Shards with ``cls`` beside each image.
        out: A folder, new unless ``resume``.
        val: Shards to validate on after each epoch; none for no validation.
        model: A network from the zoom's images in [0, 1] to logits, such as one of torchvision's or timm's. By default a
            small network.
        zoom: A sampler. By default the one that ``options`` describe, new or from a file (``TrainOptions.saliency``).
        options: The options of the training; their defaults are those that worked best (docs/train.md).
        resume: Whether to continue the run in ``out``, bit for bit on one device. If there is none, a new one begins.

    Returns:
        The last epoch's line of ``metrics.jsonl``.

    Raises:
        ValueError: ``out`` holds a run and ``resume`` is False, or a run with other options, or another training writes to it; there are too few samples
            for a batch; ``model`` has fewer logits than there are classes; or an option does not fit the zoom.
        ShardError: A label is not a class, which is found before the training begins; or a shard cannot be read.
    """
    options = options or TrainOptions()
    with in_ranks() as ranks, room_for_the_loader(ranks.device):
        torch.manual_seed(options.seed)
        if zoom is not None and options.saliency is not None:
            raise ValueError(
                f"saliency must be None for a zoom of yours, got {options.saliency!r} – leave one of the two out."
            )
        zoom = options.make_zoom() if zoom is None else zoom
        check_zoom(zoom, options)
        classes = count_classes(
            urls,
            val,
            options.classes,
            storage_options=options.storage_options,
            cache_size=options.cache_size,
        )
        if model is None:
            torch.manual_seed(options.seed)  # again: a zoom draws weights, a baseline does not
            model = SmallConvNet(classes)
        before = TrainOptions(prior="none", trial=0.0, evidence=0.0).for_run(zoom)  # there were none at first
        with alone_in(Path(out), ranks):
            run = TrainRun(Path(out), ranks, options.for_run(zoom), defaults=before, resume=resume)
            model = model.to(ranks.device, memory_format=torch.channels_last)  # type: ignore[call-overload]  # known to torch's code only
            training = _Training(model, zoom.to(ranks.device), options, ranks, run, classes=classes)
            with training.loader(urls, training.shared_zoom, **while_learning(options)) as loader:
                return training.fit(loader, urls, val)


class _Training:
    """The state of a training, and its loops, from the outermost to the innermost."""

    def __init__(
        self,
        model: nn.Module,
        zoom: nn.Module,
        options: TrainOptions,
        ranks: Ranks,
        run: TrainRun,
        *,
        classes: int,
    ) -> None:
        self.model, self.zoom, self.options, self.ranks, self.run = model, zoom, options, ranks, run
        self.classes = classes
        self.shared_model, self.shared_zoom = ranks.share(model), ranks.share(zoom)
        self.optimizer = torch.optim.AdamW(options.parameter_groups(model, zoom))
        self.scaler = torch.amp.GradScaler(ranks.device.type, enabled=options.amp == "fp16")
        self.parts: dict[str, Any] = {"model": model, "zoom": zoom}
        self.parts |= {"optimizer": self.optimizer, "scaler": self.scaler}
        self.step, self.steps, self.lr_factor = 0, 1, 0.0
        self.trial: ZoomTrial | None = None
        self.teacher: EvidenceTeacher | None = None
        self.console = Console(soft_wrap=True, highlight=False, markup=False, quiet=ranks.rank > 0)

    def loader(self, urls: Urls, zoom: nn.Module, **how: Any) -> ZoomLoader:
        return open_loader(
            urls, zoom, self.options, self.ranks, fields=("cls", "__saliency__", "__valid__"), **how
        )

    def fit(self, loader: ZoomLoader, urls: Urls, val: Urls) -> dict[str, Any]:
        """Train all epochs, from the step of the checkpoint."""
        if not len(loader):
            samples = loader.state_dict()["samples"] // self.ranks.world_size
            raise ValueError(
                f"batch_size must be at most {samples}, the samples of a rank, got {self.options.batch_size!r} – lower it."
            )
        if is_emulated(self.options.amp, self.ranks.device):
            self.console.print(
                f"This processor has no instructions for {self.options.amp}, which takes it several times as long as --amp off does."
            )
        self.parts["loader"], shown = loader, val or urls
        self.steps = self.options.epochs * len(loader)
        if self.options.trial:
            self.trial = ZoomTrial(self.zoom, steps=math.ceil(self.options.trial * self.steps))
            self.parts["trial"] = self.trial
        if self.options.evidence:
            self.teacher = EvidenceTeacher(self.zoom, after=self.trial, strength=self.options.evidence)
        self.step = self.run.load(self.parts)
        if self.options.boxes is not None and not self.run.resumed:
            teach(urls, self.zoom, self.options, self.ranks, log=self.run.log, console=self.console)
            self.run.save(self.parts, 0)
        try:
            self.train_epochs(loader, val=val, shown=shown)
        finally:
            for each in (self.trial, self.teacher):
                if each is not None:
                    each.close()  # the zoom may be the caller's: an interrupted run must not leave it on trial
        self.run.finish(self.model, self.zoom)
        return self.run.last_epoch()

    def train_epochs(self, loader: ZoomLoader, *, val: Urls, shown: Urls) -> None:
        """Train, validate and save the epochs that are left, and show the progress."""
        with progress_bar(self.console, unit="steps") as progress:
            task = progress.add_task("Training", total=self.steps, completed=self.step)
            if self.run.unfinished is not None:  # the run was stopped after an epoch's last step
                self.end_epoch(**self.run.unfinished, val=val, shown=shown)
            while (epoch := loader.epoch) < self.options.epochs:
                means = self.train_epoch(loader, lambda: progress.update(task, completed=self.step))
                self.run.save(self.parts, self.step, unfinished={"epoch": epoch, "means": means})
                self.end_epoch(epoch, means, val=val, shown=shown)

    def train_epoch(self, loader: ZoomLoader, on_step: Callable[[], object]) -> dict[str, float]:
        """Train the rest of an epoch; return the means over all of it."""
        self.shared_model.train()
        set_training(self.shared_zoom)
        batches, start = iter(loader), time.perf_counter()
        sums = before = self.sums_before()
        while True:
            self.prepare_step()
            batch = next(batches, None)  # the loader zooms with the present weights
            if batch is None:
                rate = float(self.ranks.sum(sums - before)[0]) / (time.perf_counter() - start)
                return {**_means("train", self.ranks.sum(sums)), "train_images_per_s": rate}
            sums = sums + self.train_step(*batch)
            self.step += 1
            on_step()
            if self.step % self.options.log_steps == 0:
                lr = self.options.lr * self.lr_factor
                rates = {"lr": lr, "saliency_lr": lr * self.options.saliency_lr}
                self.run.log("step", step=self.step, **rates, **_means("train", self.ranks.sum(sums.clone())))
            if self.step % self.options.checkpoint_steps == 0 and self.step % len(loader):
                self.run.save(self.parts, self.step, sums=self.ranks.gather(sums))

    def sums_before(self) -> Tensor:
        """Return this rank's sums over the steps of an epoch that were trained before the run was stopped; zeros for a new epoch."""
        rows, self.run.sums = self.run.sums, None
        if rows is None:
            return torch.zeros(4, device=self.ranks.device)
        return self.ranks.own(rows.to(self.ranks.device))

    def prepare_step(self) -> None:
        """Set everything that depends on the step alone, so that a continued run does the same as one that was never stopped."""
        torch.manual_seed(self.ranks.own_seed(self.options.seed * 1_000_003 + self.step))
        self.lr_factor = lr_factor(self.step, self.steps, self.options.warmup)
        for group in self.optimizer.param_groups:
            group["lr"] = group["peak_lr"] * self.lr_factor

    def train_step(self, images: Tensor, labels: Tensor, saliency: Tensor, valid: Tensor) -> Tensor:
        """Update the weights by one batch; return its sums."""
        if self.step < self.options.blur * self.steps:
            images = blurred(images)
        logits = classify(self.shared_model, images, self.options.amp)
        if logits.shape[1] < self.classes:
            raise ValueError(
                f"model must have a logit for each of {self.classes} classes, got {logits.shape[1]} logits."
            )
        losses = cross_entropy(logits, labels, reduction="none")
        self.try_zoom(losses.detach())
        if self.teacher is not None:
            self.teacher.observe(losses)
        entropy = saliency_entropy(saliency)
        rewarded = entropy.clamp(max=math.log(self.options.min_cells or math.inf)).mean()
        self.optimizer.zero_grad()
        self.scaler.scale(losses.mean() - self.options.entropy * rewarded).backward()  # type: ignore[no-untyped-call]  # torch's own
        self.scaler.step(self.optimizer)
        self.scaler.update()
        return _sums(losses.detach(), logits.argmax(1) == labels, entropy.detach(), valid)

    def try_zoom(self, losses: Tensor) -> None:
        """Go on with the zoom's trial, if there is one; say how it ends."""
        if self.trial is None or self.trial.helps is not None:
            return
        self.trial.observe(losses)
        if self.trial.helps is not None:
            helps, errors = self.trial.helps, self.trial.standard_errors
            self.run.log("trial", step=self.step + 1, helps=float(helps), standard_errors=errors)
            self.console.print(_VERDICT[helps].format(step=self.step + 1, errors=errors))

    def validate(self, val: Urls) -> dict[str, float]:
        """Return the means over all samples of all ranks, each counted once."""
        if not val:
            return {}
        self.model.eval()
        self.zoom.eval()
        sums = torch.zeros(4, device=self.ranks.device)
        with torch.no_grad(), self.loader(val, self.zoom, last_batch="pad") as loader:
            for images, labels, saliency, valid, *_ in loader:
                logits = classify(self.model, images, self.options.amp)
                losses = cross_entropy(logits, labels, reduction="none")
                sums += _sums(losses, logits.argmax(1) == labels, saliency_entropy(saliency), valid)
        return _means("val", self.ranks.sum(sums))

    def end_epoch(self, epoch: int, means: dict[str, float], *, val: Urls, shown: Urls) -> None:
        """Validate, write and print the epoch's metrics, draw how the zoom sees some images now, and mark the epoch as finished."""
        line = {**means, **self.validate(val)}
        self.run.log("epoch", step=self.step, epoch=epoch, **line)
        self.console.print(f"epoch {epoch + 1} of {self.options.epochs}: {_told(line)}")
        if self.ranks.rank == 0:
            self.zoom.eval()
            path = self.run.folder / f"epoch-{epoch + 1:03d}.png"
            draw_validation(
                shown,
                self.zoom,
                path,
                image=self.options.image,
                rule=self.options.rule,
                storage_options=self.options.storage_options,
                cache_size=self.options.cache_size,
            )
            self.run.show("validation", path, self.step)
        self.run.save(self.parts, self.step)


def classify(model: nn.Module, images: Tensor, amp: Amp) -> Tensor:
    """Return a model's logits in float32, whatever format it computes in."""
    with torch.autocast(images.device.type, _AMP[amp], enabled=amp != "off"):
        return cast("Tensor", model(channels_last(images))).float()


def _sums(losses: Tensor, right: Tensor, entropy: Tensor, valid: Tensor) -> Tensor:
    """Return the number of samples, and the sums of the loss, of correct predictions, and of the cells that the saliency is spread over."""
    each = torch.stack([torch.ones_like(losses), losses, right, entropy.exp()])
    return (each * valid).sum(1)


def _told(line: dict[str, float]) -> str:
    """Return an epoch's metrics in words, such as "val accuracy 0.9, val saliency spread over 312 cells"; without these if all saliency has one cell, which says nothing."""
    line = {name: value for name, value in line.items() if not (name.endswith("_cells") and value == 1)}
    words = (name.replace("_cells", "_saliency_spread_over").replace("_", " ") for name in line)
    units = (" cells" if name.endswith("_cells") else "" for name in line)
    return ", ".join(
        f"{word} {value:.4g}{unit}" for word, value, unit in zip(words, line.values(), units, strict=True)
    )


def _means(part: str, sums: Tensor) -> dict[str, float]:
    count, *rest = sums.tolist()
    names = (f"{part}_loss", f"{part}_accuracy", f"{part}_cells")
    return {name: each / max(count, 1) for name, each in zip(names, rest, strict=True)}
