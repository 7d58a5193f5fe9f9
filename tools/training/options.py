"""The options of ``foveal train``, with the defaults that worked best."""

import hashlib
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, get_args

from torch import nn

from foveal._choices import EVIDENCE, TEACH_EPOCHS, TRIAL
from foveal.pipeline import Augment, Bands, BoxFormat, Color, Frame, PixelRule, Window
from foveal.sampler import (
    MapChannelSaliency,
    MapSaliency,
    PriorSaliency,
    SaliencyNet,
    SaliencySampler,
    SaliencyUNet,
    TrunkSaliency,
    UniformSampler,
)
from foveal.sampler.grids import Family
from foveal.tools.console.choices import IMAGE, MAX_PIXELS, Amp, TrainLog, TrainPriorName, TrainZoomName
from foveal.tools.console.sample_options import box_field, map_field
from foveal.tools.console.zoom_choice import TrainZoomChoice
from foveal.tools.training._zoom_parts import priors_in, trunks_in

# Share of a map that is spread evenly before training starts from it, so that the network can raise what the map leaves out.
_MAP_FLOOR = 0.1


# Where samples are found, and which are known to be bad, is no setting of a training; and credentials belong in no checkpoint.
_NOT_IN_RUNS = frozenset({"quarantine", "storage_options", "cache_size"})


# Options that do nothing without the other.
_SAYS_MORE = (
    ("min_cells", "entropy"),
    ("box_format", "boxes"),
    ("box_frame", "boxes"),
    ("teach_epochs", "boxes"),
)

# Options about a saliency network and how it learns.
_OF_SALIENCY = ("saliency_lr", "entropy", "prior", "contrast", "trunk", "saliency_member")


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainOptions(TrainZoomChoice):
    """The options of a training.

    The settings of its zoom are options, too: family, temperature, width of the attraction, and bound on magnification, named as in
    :class:`foveal.sampler.SaliencySampler`. None means what the file of ``saliency`` says, or the default; ``math.inf`` is no bound.

    Attributes:
        out_size: Height and width of the zoomed images, in pixels.
        zoom: ``"saliency"``, or ``"uniform"`` for the same training without a zoom.
        epochs: Passes over the shards.
        batch_size: Images of a batch, on each rank.
        lr: Peak learning rate of the classifier.
        saliency_lr: Peak learning rate of the saliency network, as a multiple of ``lr``.
        warmup: Share of all steps in which the learning rates rise; afterwards they fall as a cosine.
        weight_decay: Weight decay of AdamW.
        entropy: How strongly the saliency's entropy is rewarded.
        min_cells: The reward ends when the saliency of an image is spread over this many cells (e to its entropy); None
            for no end.
        evidence: How strongly the places where the classifier finds its evidence teach the saliency network, once the zoom is known
            to help (:class:`foveal.sampler.EvidenceTeacher`). With 0, and with a ``contrast`` or without a prior, a new network is a
            :class:`foveal.sampler.SaliencyNet`, otherwise a :class:`foveal.sampler.SaliencyUNet`.
        blur: Share of all steps in which zoomed images are blurred at random, a different amount each step (Recasens et
            al. 2018: the classifier then depends on the zoom early).
        trial: Share of all steps in which the zoom has to show that it helps, or is taken away
            (:class:`foveal.sampler.ZoomTrial`). 0 for no trial: the zoom stays, in full strength from the beginning. A zoom without a
            prior, such as with ``boxes``, and a frozen one stay without a trial, too; another share than the default is refused.
        prior: What the saliency network's logits are added to: ``"spectral"``, saliency that needs no training
            (:class:`foveal.sampler.PriorSaliency`), ``"map"``, the map of ``saliency_member``, or ``"none"``.
        contrast: How strongly the untrained network prefers what stands out, as :class:`foveal.sampler.SaliencyNet` takes
            it. With 0 and a prior, it begins by adding nothing. Not with ``boxes``.
        saliency_member: The member of each sample that holds a map, such as ``"attention.npy"``, which the network sees
            beside the image (:class:`foveal.sampler.MapChannelSaliency`). None for the image alone.
        boxes: Where the boxes are that the label depends on, such as ``"json:boxes"`` (:class:`foveal.pipeline.Boxes`). They
            teach the saliency network before the training begins. It is then a :class:`foveal.sampler.SaliencyUNet` without
            a prior. Boxes are needed for training only. None for no boxes.
        box_format: As :class:`foveal.pipeline.Boxes` takes it.
        box_frame: Likewise.
        teach_epochs: Passes over low-resolution copies of the training images, in which boxes teach the saliency network.
        saliency: A file that :meth:`foveal.sampler.SaliencySampler.save_checkpoint` wrote, such as an earlier run's
            ``saliency.pt``: training begins with its zoom, network and settings, at this run's ``out_size``. A zoom that
            its trial took away is refused: it would resize evenly. None for a new zoom. With a file, ``zoom``, ``boxes``, ``prior``, ``contrast``, ``trunk`` and ``saliency_member`` must keep
            their defaults.
        trunk: A pretrained model whose features the saliency network reads, such as ``"timm:resnet18"`` or
            ``"torchvision:resnet18"`` (:class:`foveal.sampler.TrunkSaliency`); that library must be installed. It takes the place of the
            network that ``prior`` or ``boxes`` would begin with. None for Foveal's small networks.
        trunk_weights: The file with its weights; None for random ones.
        trunk_lr: Peak learning rate of the trunk, as a multiple of ``lr``; with 0 its weights stay as they are. It is also that of a trunk
            in the file of ``saliency``, or in a zoom of yours, if it was made with ``frozen=False``.
        augment: Random flips, crops and turns of the training images, as part of the zoom; None for none.
        amp: Number format in which the classifier computes; the zoom stays in float32.
        classes: Number of classes; None to find it by reading the labels of all shards first.
        seed: Seed of the weights, the order and everything that is random.
        log: Where metrics go: ``"json"`` to ``metrics.jsonl`` alone, ``"tensorboard"`` to event files in the same folder, too, with
            the sheets (extra ``tensorboard``).
        log_steps: Steps from one line of ``metrics.jsonl`` to the next.
        checkpoint_steps: Steps from one checkpoint to the next; one more at the end of each epoch.
        num_threads: Threads that decode; None for one for each processor.
        window: As :class:`foveal.pipeline.ZoomLoader` takes it.
        bands: Likewise.
        color: Likewise.
        image: The member that holds a sample's image; alternatives are separated by ``;``.
        max_pixels: The largest number of pixels of an image.
        quarantine: The file with bad samples, to skip them and to add those that turn out bad; None for none.
        storage_options: For remote shards.
        cache_size: Room on this machine for copies of remote shards, such as ``"200GB"``, which are read from the second epoch on; None
            for no copies.

    Raises:
        ValueError: An option is out of range, or would do nothing beside the others.
    """

    out_size: int = 224
    zoom: TrainZoomName = "saliency"
    epochs: int = 10
    batch_size: int = 64
    lr: float = 3e-3
    saliency_lr: float = 0.3
    warmup: float = 0.3
    weight_decay: float = 0.01
    entropy: float = 0.0
    min_cells: float | None = None
    evidence: float = EVIDENCE
    blur: float = 0.0
    trial: float = TRIAL
    prior: TrainPriorName = "spectral"
    contrast: float = 0.0
    saliency_member: str | None = None
    boxes: str | None = None
    box_format: BoxFormat | None = None
    box_frame: Frame | None = None
    teach_epochs: int = TEACH_EPOCHS
    saliency: str | None = None
    trunk: str | None = None
    trunk_weights: str | None = None
    trunk_lr: float = 0.0
    augment: Augment | None = None
    amp: Amp = "off"
    classes: int | None = None
    seed: int = 0
    log: TrainLog = "json"
    log_steps: int = 20
    checkpoint_steps: int = 500
    num_threads: int | None = None
    window: Window | None = None
    bands: Bands | None = None
    color: Color | None = None
    image: str = IMAGE
    max_pixels: int = MAX_PIXELS
    quarantine: str | None = None
    storage_options: Mapping[str, Any] = field(default_factory=dict, hash=False)
    cache_size: int | str | None = None

    def __post_init__(self) -> None:
        self._check_numbers()
        for name, allowed in (
            ("amp", Amp),
            ("zoom", TrainZoomName),
            ("prior", TrainPriorName),
            ("log", TrainLog),
            ("family", Family),
        ):
            value = getattr(self, name)
            if value not in get_args(allowed) and (name, value) != ("family", None):
                raise ValueError(f"{name} must be one of {', '.join(get_args(allowed))}, got {value!r}.")
        self._check_needs()
        self._check_uniform()
        self._check_learning()
        self._check_contrast()
        self._check_trunk()
        self._check_member()
        if self.boxes is not None:
            box_field(self.boxes, self.box_format, self.box_frame)
        if self.saliency is None:
            self.refuse_width_of(self.of_new_zoom["family"])
        else:
            self._check_new_zoom()

    @classmethod
    def _usual(cls) -> dict[str, Any]:
        return {each.name: each.default for each in fields(cls)}

    def _check_needs(self) -> None:
        """Raise if an option is given without the one that it says more about."""
        usual = self._usual()
        for name, needed in _SAYS_MORE:
            given, without = getattr(self, name), getattr(self, needed)
            if given != usual[name] and without == usual[needed]:
                raise ValueError(
                    f"{name} must be {usual[name]!r} with {needed}={without!r}, got {given!r} – give {needed}, too, or leave it out."
                )

    def _check_uniform(self) -> None:
        """Raise if an option of a zoom that learns is given for none."""
        if self.zoom != "uniform":
            return
        if self.boxes is not None:
            raise ValueError(
                f"boxes must be None for a uniform zoom, which has no saliency network, got {self.boxes!r}."
            )
        self.refuse_given("zoom='uniform'", "a uniform resize has no zoom")
        for name in _OF_SALIENCY:
            usual = self._usual()[name]
            self._refuse(name, repr(usual), zoom=getattr(self, name) != usual)

    def _check_learning(self) -> None:
        """Raise if a trial or evidence is asked of a zoom without a prior."""
        uniform, alone = self.zoom == "uniform", self.prior == "none"
        for name, usual in self.unusual_learning().items():
            self._refuse(name, f"0 or {usual!r}", zoom=uniform, prior=alone, boxes=self.boxes is not None)

    def unusual_learning(self) -> dict[str, float]:
        """Return the defaults of trial and evidence where they are neither kept nor 0. They stand beside zooms that have neither."""
        usual = {"evidence": EVIDENCE, "trial": TRIAL}
        return {name: value for name, value in usual.items() if getattr(self, name) not in {0, value}}

    def _check_contrast(self) -> None:
        if self.contrast:
            self._refuse("contrast", "0.0", boxes=self.boxes is not None)

    def _refuse(self, name: str, without: str, **others: bool) -> None:
        """Raise if an option is given together with one of those that exclude it; ``others`` says which are given."""
        for other, given in others.items():
            if given:
                raise ValueError(
                    f"{name} must be {without} with {other}={getattr(self, other)!r}, got {getattr(self, name)!r} – leave one of "
                    "the two out."
                )

    def _check_trunk(self) -> None:
        if not self.trunk_lr >= 0:
            raise ValueError(f"trunk_lr must not be negative, got {self.trunk_lr!r}.")
        if self.trunk is None and self.trunk_weights is not None:
            raise ValueError(
                f"trunk_weights must be None without a trunk, got {self.trunk_weights!r} – name its model, e.g. timm:resnet18."
            )
        if self.trunk is not None:
            self._refuse("trunk", "None", contrast=self.contrast != 0)

    def _check_member(self) -> None:
        if self.saliency_member is None and self.prior == "map":
            raise ValueError(
                "saliency_member must be given with prior='map', got None – name the map of each sample, e.g. attention.npy."
            )
        if self.saliency_member is not None:
            map_field(self.saliency_member)
            self._refuse(
                "saliency_member", "None", boxes=self.boxes is not None, trunk=self.trunk is not None
            )

    def _check_new_zoom(self) -> None:
        """Raise if options of a new zoom are given together with a file that holds a zoom."""
        usual = self._usual()
        for name in ("zoom", "boxes", "prior", "contrast", "trunk", "saliency_member"):
            if getattr(self, name) != usual[name]:
                raise ValueError(
                    f"{name} must be {usual[name]!r} with a file of saliency, got {getattr(self, name)!r} – the "
                    f"training begins with the zoom in {self.saliency!r}; leave one of the two out."
                )

    def _check_numbers(self) -> None:
        for name in ("out_size", "epochs", "batch_size", "log_steps", "checkpoint_steps", "teach_epochs"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)!r}.")
        for name in ("lr", "saliency_lr"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be positive, got {getattr(self, name)!r}.")
        for name in ("weight_decay", "entropy", "evidence", "contrast"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name} must be finite and not negative, got {getattr(self, name)!r}.")
        if self.min_cells is not None and not self.min_cells > 1:
            raise ValueError(f"min_cells must be above 1, or None, got {self.min_cells!r}.")
        for name in ("warmup", "blur", "trial"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must be a share in [0, 1], got {getattr(self, name)!r}.")

    @property
    def rule(self) -> PixelRule:
        """How samples become grey levels."""
        return PixelRule(self.window, self.bands, self.color)

    def make_zoom(self) -> SaliencySampler | UniformSampler:
        """Return a new sampler, or the one that the file of ``saliency`` holds.

        Raises:
            OSError: The file cannot be read.
            ValueError: The file does not hold a zoom, one whose network is not Foveal's, or one that resizes evenly.
        """
        if self.zoom == "uniform":
            return UniformSampler(self.out_size)
        if self.saliency is not None:
            zoom = SaliencySampler.from_checkpoint(self.saliency, out_size=self.out_size, **self.chosen)
            self.refuse_width_of(zoom.family)
            self._check_gain(zoom)
            for trunk in trunks_in(zoom):
                trunk.frozen = self.trunk_lr == 0
                trunk.model.requires_grad_(not trunk.frozen)
            return zoom
        saliency = self._make_saliency()
        looks: dict[str, Any] = (
            {} if not (trunks := trunks_in(saliency)) else {"lowres_size": trunks[0].lowres_size}
        )
        return SaliencySampler(self.out_size, saliency=saliency, **looks, **self.of_new_zoom)

    def _check_gain(self, zoom: nn.Module) -> None:
        """Raise if a trial took the zoom away: what its network tells is multiplied by 0, and so is what it would learn."""
        if any(each.gain == 0 for each in priors_in(zoom)):
            raise ValueError(
                f"saliency must be a file with a zoom that enlarges something, got {self.saliency!r}, whose zoom was taken away by its trial "
                "(gain=0) – leave it out to begin with a new zoom, or train with zoom='uniform'."
            )

    def for_run(self, zoom: nn.Module) -> dict[str, Any]:
        """Return everything that decides how a training goes, as plain values: a run is only continued with the same values.

        A file is identified by its content, not by its name, and a zoom from a file by its final settings.
        """
        given = {name: value for name, value in asdict(self).items() if name not in _NOT_IN_RUNS}
        options = {name: given[name] for name in given if name not in self.DEFAULTS} | self.of_new_zoom
        for name in ("saliency", "trunk_weights"):
            if given[name] is not None:
                options[name] = f"sha256 {hashlib.sha256(Path(given[name]).read_bytes()).hexdigest()[:16]}"
        settings = {name: getattr(zoom, name) for name in self.DEFAULTS} if self.saliency is not None else {}
        return {**options, **settings}

    def _make_saliency(self) -> nn.Module:
        if self.trunk is not None:
            trunk = TrunkSaliency(self.trunk, weights=self.trunk_weights, frozen=self.trunk_lr == 0)
            return trunk if self.boxes is not None or self.prior == "none" else PriorSaliency(trunk)
        if self.boxes is not None:
            return SaliencyUNet()
        seen = self.saliency_member
        network = self._make_network(channels=3 if seen is None else 4)
        if seen is not None:
            network = MapChannelSaliency(seen, network)
        match self.prior:
            case "none":
                return network
            case "map":
                return PriorSaliency(network, MapSaliency(seen, floor=_MAP_FLOOR), gain=1.0)
            case "spectral":
                return PriorSaliency(network)

    def _make_network(self, channels: int) -> nn.Module:
        if self.prior == "none" or self.contrast:
            return SaliencyNet(contrast=self.contrast, channels=channels)
        # What nobody teaches does not become better by being larger.
        return (
            SaliencyUNet(channels=channels)
            if self.evidence
            else SaliencyNet(channels=channels, zero_init=True)
        )

    def parameter_groups(self, model: nn.Module, zoom: nn.Module) -> list[dict[str, Any]]:
        """Return the optimiser's groups, each with its ``peak_lr``, which the schedule multiplies."""
        return self._groups((model.parameters(), 1.0)) + self.zoom_groups(zoom, self.saliency_lr)

    def zoom_groups(self, zoom: nn.Module, rate: float) -> list[dict[str, Any]]:
        """Return the groups of a zoom or its network; ``rate`` is the peak learning rate of all but a trunk, as a multiple of ``lr``."""
        trunk = [weight for each in trunks_in(zoom) for weight in each.model.parameters()]
        known = {id(weight) for weight in trunk}
        rest = [weight for weight in zoom.parameters() if id(weight) not in known]
        return self._groups((rest, rate), (trunk, self.trunk_lr))

    def _groups(self, *rates: tuple[Iterable[nn.Parameter], float]) -> list[dict[str, Any]]:
        groups = [
            {
                "params": [p for p in weights if p.requires_grad],
                "peak_lr": self.lr * rate,
                "lr": self.lr * rate,
            }
            for weights, rate in rates
        ]
        return [{**group, "weight_decay": self.weight_decay} for group in groups if group["params"]]
