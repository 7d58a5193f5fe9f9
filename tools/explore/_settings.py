"""The settings on the page, and the code that gives the same images."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from foveal.pipeline import Augment, BoxFormat, Frame, PixelRule
from foveal.pipeline.decoding import PLAIN
from foveal.sampler import SaliencySampler, UniformSampler
from foveal.tools.console.choices import IMAGE
from foveal.tools.console.choose_zoom import PLAIN_PIXELS, choose_zoom
from foveal.tools.console.sampler_code import sampler_code
from foveal.tools.console.zoom_choice import DESCRIBED, ZoomChoice


@dataclass(frozen=True, slots=True)
class Source:
    """What the command line says: the shards and the sources of saliency.

    Attributes:
        urls: The shards.
        boxes: Where each sample's boxes are, such as ``"json:boxes"``; None for none.
        box_format: What the four numbers of a box are; None for what such boxes usually are.
        box_frame: What these numbers count; likewise.
        checkpoint: A file that ``foveal train`` wrote; None for none.
        saliency_member: The member of each sample that holds its saliency map, such as ``"attention.npy"``; None for none.
        image: The member that holds the image; alternatives are separated by ``;``.
        rule: How stored values become grey levels.
        storage_options: For remote shards. The page does not show them, because they may hold credentials.
    """

    urls: tuple[str, ...]
    boxes: str | None = None
    box_format: BoxFormat | None = None
    box_frame: Frame | None = None
    checkpoint: Path | None = None
    saliency_member: str | None = None
    image: str = IMAGE
    rule: PixelRule = PLAIN
    storage_options: Mapping[str, Any] = field(default_factory=dict, hash=False)

    @property
    def saliencies(self) -> list[str]:
        """Names of the saliency sources that the page offers."""
        given = {"boxes": self.boxes, "map": self.saliency_member, "checkpoint": self.checkpoint}
        return ["spectral", *(name for name, value in given.items() if value), "uniform"]

    def settings_of(self, saliency: str) -> dict[str, Any]:
        """Return the settings of the zoom that come with a source of saliency: those in the checkpoint, or none."""
        if saliency != "checkpoint":
            return {}
        trained = self._trained()
        return {
            name: DESCRIBED[name].unbounded if trained[name] is None else trained[name]
            for name in ZoomChoice.DEFAULTS
        }

    @property
    def boxes_code(self) -> str:
        """The field of boxes in a form that a saliency would not guess; nothing if it would."""
        forms = {"format": self.box_format, "frame": self.box_frame}
        given = "".join(f", {name}={value!r}" for name, value in forms.items() if value is not None)
        return f"Boxes({self.boxes!r}{given})" if given else ""

    def checkpoint_code(self, size: int, chosen: Mapping[str, Any]) -> str:
        """Return the call that makes the checkpoint's sampler with these settings, for images that are shown."""
        trained = self._trained()
        plain = {name: value for name, value in PLAIN_PIXELS.items() if trained[name] != value}
        given = ", ".join(f"{name}={value!r}" for name, value in {**chosen, **plain}.items())
        path = str(self.checkpoint)
        return f"SaliencySampler.from_checkpoint({path!r}, out_size={size}, {given}).eval().requires_grad_(False)"

    def _trained(self) -> dict[str, Any]:
        if self.checkpoint is None:
            raise ValueError("checkpoint must be a file for this source of saliency, got None.")
        return SaliencySampler.from_checkpoint(self.checkpoint).settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings(ZoomChoice):
    """What can be set on the page. The settings of the zoom are those of :class:`ZoomChoice`; here None means the default.

    Attributes:
        saliency: One of :attr:`Source.saliencies`.
        size: Height and width of the zoomed image, in pixels.
        hflip, rotate_deg, crop_least: The augmentation: probability of mirroring, largest rotation in degrees, smallest
        area of a crop.
        epoch: Which of the random views is shown.
    """

    saliency: str = "spectral"
    size: int = 224
    hflip: float = 0.0
    rotate_deg: float = 0.0
    crop_least: float = 1.0
    epoch: int = 0

    def __post_init__(self) -> None:
        for name, default in self.DEFAULTS.items():
            if getattr(self, name) is None:
                object.__setattr__(self, name, DESCRIBED[name].unbounded if default is None else default)

    @property
    def augment(self) -> Augment | None:
        """The random views; None if all of them are the whole image."""
        crop = None if self.crop_least >= 1 else (self.crop_least, 1.0)
        chosen = Augment(hflip=self.hflip, rotate_deg=self.rotate_deg, crop_scale=crop)
        return None if chosen == Augment() else chosen

    @property
    def _used(self) -> ZoomChoice:
        """The settings that do something; sliders of others stay where they are."""
        idle = self.IDLE.get(self.family or "", frozenset())
        return ZoomChoice(**{name: getattr(self, name) for name in self.DEFAULTS if name not in idle})

    def zoom(self, source: Source) -> SaliencySampler | UniformSampler:
        """Return the sampler that is set, frozen."""
        saliency = str(source.checkpoint) if self.saliency == "checkpoint" else self.saliency
        choice = None if saliency == "uniform" else self._used
        return choose_zoom(
            self.size, saliency, choice, boxes_from=source.boxes, maps_from=source.saliency_member
        )

    def python(self, source: Source) -> str:
        """Return a script whose loader gives the images that the page shows."""
        boxes = source.boxes_code if self.saliency == "boxes" else ""
        parts = ["Augment"] * (self.augment is not None) + ["Boxes"] * bool(boxes)
        names, zoom = self._zoom_code(source)
        options = ", ".join(self._loader_options(source, boxes))
        lines = [
            f"from foveal.pipeline import {', '.join([*parts, 'ZoomLoader'])}",
            f"from foveal.sampler import {names}",
            "",
            f"zoom = {zoom}",
            f"loader = ZoomLoader({list(source.urls)!r}, zoom, {options})",
        ]
        if self.augment is not None:
            lines.append(f"loader.set_epoch({self.epoch})")
        return "\n".join(lines)

    def _zoom_code(self, source: Source) -> tuple[str, str]:
        """Return the names to import from the sampler, and the call that makes the zoom."""
        match self.saliency:
            case "uniform":
                return "UniformSampler", f"UniformSampler({self.size})"
            case "checkpoint":
                return "SaliencySampler", source.checkpoint_code(self.size, self._used.chosen)
            case "boxes":
                names, saliency = "BoxSaliency, SaliencySampler", f"BoxSaliency({source.boxes!r})"
            case "map":
                names, saliency = "MapSaliency, SaliencySampler", f"MapSaliency({source.saliency_member!r})"
            case _:
                names, saliency = "SaliencySampler, SpectralSaliency", "SpectralSaliency()"
        return names, sampler_code(self.size, saliency, self._used.chosen)

    def _loader_options(self, source: Source, boxes: str) -> list[str]:
        """Return the arguments of the loader after the zoom; ``boxes`` is the code of a field beside the image, if there is one."""
        image = "image" if source.image == IMAGE else source.image
        options = [f'batch_size=1, fields=("{image}",{boxes and " "}{boxes}), decode="dali"']
        plain = asdict(PLAIN)
        options += [
            f"{name}={value!r}" for name, value in asdict(source.rule).items() if value != plain[name]
        ]
        if source.storage_options:
            options.append("storage_options=...")
        if self.augment is not None:
            options.append(f"augment={_short(self.augment)}")
        return options

    def command(self, source: Source) -> str | None:
        """Return the ``foveal zoom`` that writes these images; None if they are augmented, which it cannot do."""
        if self.augment is not None:
            return None
        saliency = str(source.checkpoint) if self.saliency == "checkpoint" else self.saliency
        words = ["foveal", "zoom", *source.urls, "--out", "zoomed", "--out-size", str(self.size)]
        named = ["--saliency-member", str(source.saliency_member)]
        words += named if self.saliency == "map" else ["--saliency", saliency]
        if self.saliency != "uniform":
            words += [word for name, value in self._used.given.items() for word in _option(name, value)]
        if source.boxes is not None:
            words += ["--boxes", source.boxes]
            forms = {"box_format": source.box_format, "box_frame": source.box_frame}
            words += [word for name, value in forms.items() if value for word in _option(name, value)]
        if source.image != IMAGE:
            words += _option("image", source.image)
        words += [word for name, value in _as_words(source.rule).items() for word in _option(name, value)]
        if source.storage_options:
            words += _option("storage_options", "...")
        return shlex.join([*words, "--decode", "dali", "--format", "png"])


def _as_words(rule: PixelRule) -> dict[str, str]:
    """Return the options of a rule, as the command line takes them."""
    window = rule.window if isinstance(rule.window, str | None) else ":".join(map(str, rule.window))
    bands = None if rule.bands is None else ",".join(map(str, rule.bands))
    given = {"window": window, "bands": bands, "color": rule.color}
    return {name: value for name, value in given.items() if value is not None}


def _option(name: str, value: object) -> Sequence[str]:
    return f"--{name.replace('_', '-')}", str(value)


def _short(augment: Augment) -> str:
    """Return the call that makes it, without arguments that are defaults."""
    plain = Augment()
    chosen = [each.name for each in fields(augment)]
    given = {
        name: getattr(augment, name) for name in chosen if getattr(augment, name) != getattr(plain, name)
    }
    return f"Augment({', '.join(f'{name}={value!r}' for name, value in given.items())})"
