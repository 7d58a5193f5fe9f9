"""The page: settings on the left, four pictures on the right, and below them the code that gives the same images."""

import asyncio
import functools
from dataclasses import replace
from typing import Any, get_args

from nicegui import run, ui
from nicegui.events import MouseEventArguments

from foveal._choices import Family
from foveal.sampler.threads import use_one_torch_thread
from foveal.shards import DataError
from foveal.tools.console.zoom_choice import DESCRIBED
from foveal.tools.explore._looker import Look, Looker
from foveal.tools.explore._paint import (
    as_exact_url,
    as_image,
    as_url,
    original_with_grid,
    saliency_over_grey,
    zoomed_with_boxes,
)
from foveal.tools.explore._scale import Scale
from foveal.tools.explore._settings import Settings

# Controls on the left, pictures and code on the right; on a narrow screen the pictures stand above the controls that change them.
_CSS = """
.nicegui-code pre { white-space: pre-wrap; overflow-wrap: anywhere; padding-right: 2.5rem; }
.explore { display: grid; width: 100%; gap: 0.75rem 1.5rem; grid-template: "pictures" "controls" "code" / minmax(0, 1fr); }
@media (min-width: 700px) {
  .explore { grid-template: "controls pictures" "controls code" 1fr / 16rem minmax(0, 1fr); }
}
.explore > .controls { grid-area: controls; }
.explore > .pictures { grid-area: pictures; }
.explore > .code { grid-area: code; }
"""
# Up to this size an output is not shown smaller than it is.
_SHARP_PX = 224
TITLES = ("Original and grid", "Saliency", "Uniform resize", "Zoomed")


class Page:
    """The page of one visitor.

    Args:
        looker: Looks at the samples.
        settings: What is set at first.
    """

    def __init__(self, looker: Looker, settings: Settings) -> None:
        self._looker = looker
        self._settings = settings
        self._number = 0
        self._look: Look | None = None
        self._wanted = 0  # counts changes: only the newest is drawn
        self._drawing = asyncio.Lock()
        self._set_by: dict[str, ui.slider | ui.select] = {}  # the settings that a checkpoint has
        self._scales: dict[str, Scale] = {}  # of those that have a slider
        self._build()

    def _build(self) -> None:
        ui.page_title("foveal explore")
        ui.add_css(_CSS)
        with ui.element("div").classes("explore"):
            with ui.column().classes("controls gap-1"):
                self._build_controls()
            with ui.column().classes("pictures min-w-0 gap-2"):
                with ui.row().classes("items-center no-wrap gap-2"):
                    self._caption = ui.label(self._sample_text()).classes("text-lg").mark("caption")
                    self._working = ui.label("Drawing …").classes("text-gray-500").mark("working")
                self._fault = ui.label().classes("text-red-700 text-lg").mark("fault")
                with ui.element("div").classes("w-full grid grid-cols-4 max-[1100px]:grid-cols-2 gap-3"):
                    self._pictures = [self._build_picture(title) for title in TITLES]
                self._under = ui.label(
                    "Point at the zoomed image: how much of the original a pixel shows."
                ).mark("under")
            with ui.column().classes("code min-w-0 gap-2"):
                ui.label("The same images in Python").classes("font-bold")
                self._python = self._build_code("python")
                self._command_title = ui.label("The same images as shards").classes("font-bold")
                self._command = self._build_code("bash")
        ui.timer(0, self._refresh, once=True)

    def _build_controls(self) -> None:
        start = self._settings
        ui.label("Sample")
        with ui.row().classes("items-center no-wrap"):
            ui.button("Back", on_click=lambda: self._step(-1)).props("dense").mark("previous")
            self._sample = ui.number(
                value=0, min=0, max=len(self._looker) - 1, precision=0, on_change=self._go
            ).classes("w-28")
            ui.button("Next", on_click=lambda: self._step(1)).props("dense").mark("next")
        self._choice("saliency", self._looker.source.saliencies, "Where to look")
        self._set_by["family"] = self._choice("family", list(get_args(Family)), "Family of grids")
        for name, each in DESCRIBED.items():
            if each.label is not None:
                value = getattr(start, name)
                self._scales[name] = scale = Scale.reaching(each, value)
                self._set_by[name] = self._slider(name, scale, each.label, scale.mark_of(value))
        self._slider("size", Scale(32, 512, 16), "Output height and width, in pixels", start.size)
        with ui.expansion("Augmentation").classes("w-full"):
            self._slider("hflip", Scale(0, 1, 0.1), "Chance of mirroring", start.hflip)
            self._slider("rotate_deg", Scale(0, 45, 1), "Largest turn, in degrees", start.rotate_deg)
            self._slider(
                "crop_least", Scale(0.1, 1, 0.05), "Smallest crop, as a share of the area", start.crop_least
            )
            self._slider("epoch", Scale(0, 20, 1), "Epoch: other random views", start.epoch)

    def _slider(self, name: str, scale: Scale, label: str, mark: float) -> ui.slider:
        shown = ui.label()
        slider = ui.slider(
            min=scale.least,
            max=scale.most,
            step=scale.step,
            value=mark,
            on_change=functools.partial(self._set, name),
        )
        slider.props(f'data-setting="{name}"').mark(name)
        shown.bind_text_from(slider, "value", lambda now: f"{label}: {scale.text(now)}")
        return slider

    def _choice(self, name: str, options: list[str], label: str) -> ui.select:
        return (
            ui.select(
                options,
                value=getattr(self._settings, name),
                label=label,
                on_change=functools.partial(self._set, name),
            )
            .classes("w-full")
            .mark(name)
        )

    def _build_picture(self, title: str) -> ui.interactive_image:
        with ui.column().classes("gap-0 min-w-0"):
            ui.label(title).classes("font-bold")
            picture = (
                ui.interactive_image(events=["mousemove", "click"], cross=False)
                .classes("w-full")
                .props(f'data-picture="{title}"')
                .mark(title)
            )
        if title == TITLES[3]:
            picture.on_mouse(self._point)
        return picture

    def _build_code(self, language: str) -> ui.code:
        return ui.code("", language=language).classes("w-full").mark(language)

    async def _set(self, name: str, event: Any) -> None:
        value: Any = self._scales[name].value_at(event.value) if name in self._scales else event.value
        if name in ("size", "epoch"):
            value = int(value)
        self._settings = replace(self._settings, **{name: value})
        if name == "saliency":
            self._take(self._looker.source.settings_of(value))
        await self._refresh()

    def _take(self, settings: dict[str, Any]) -> None:
        """Set a zoom's settings, and the controls that show them."""
        self._settings = replace(self._settings, **settings)
        for name, value in settings.items():
            self._set_by[name].value = self._scales[name].mark_of(value) if name in self._scales else value

    def _step(self, by: int) -> None:
        self._sample.value = (self._number + by) % len(self._looker)

    async def _go(self, event: Any) -> None:
        if event.value is not None:
            self._number = max(0, min(int(event.value), len(self._looker) - 1))
            await self._refresh()

    async def _refresh(self) -> None:
        """Draw the present settings. If they change several times while a picture is drawn, only the last change is drawn next."""
        self._wanted += 1
        mine = self._wanted
        async with self._drawing:
            if mine != self._wanted:
                return
            self._working.set_visibility(True)
            self._show_code()
            try:
                await self._draw()
            finally:
                self._working.set_visibility(mine != self._wanted)

    async def _draw(self) -> None:
        try:
            drawn = await run.io_bound(_drawn, self._looker, self._number, self._settings)
        except (DataError, ValueError) as error:
            self._show_fault(str(error))
            return
        if drawn is not None:  # None while the server is stopping
            self._show(*drawn)

    def _sample_text(self) -> str:
        return f"Sample {self._number} of {len(self._looker)}"

    def _show_fault(self, reason: str) -> None:
        self._look = None
        self._caption.text = self._sample_text()
        self._fault.text = reason
        for picture in self._pictures:
            picture.set_source("")

    def _show(self, look: Look, urls: list[str]) -> None:
        self._look = look
        height, width, _ = look.original.image.shape
        boxes = f", {len(look.kept)} of {len(look.original.boxes)} boxes" if self._looker.source.boxes else ""
        self._caption.text = f"{self._sample_text()}: {look.original.key}, {width} × {height} pixels{boxes}"
        self._fault.text = ""
        for picture, url in zip(self._pictures, urls, strict=True):
            picture.set_source(url)
        # Pixels of these can be told apart, unless the page shows them smaller.
        for picture in self._pictures[2:]:
            picture.style(f"image-rendering: {'pixelated' if self._settings.size <= _SHARP_PX else 'auto'}")

    def _show_code(self) -> None:
        source = self._looker.source
        self._python.set_content(self._settings.python(source))
        command = self._settings.command(source)
        self._command_title.set_visibility(command is not None)
        self._command.set_visibility(command is not None)
        self._command.set_content(command or "")

    def _point(self, event: MouseEventArguments) -> None:
        if self._look is None:
            return
        rows, cols, _ = self._look.grid.shape
        row, col = (
            min(max(int(at), 0), most - 1) for at, most in ((event.image_y, rows), (event.image_x, cols))
        )
        across, down = self._look.source_px_at(row, col)
        self._under.text = (
            f"Pixel ({col}, {row}) shows {across:.1f} × {down:.1f} pixels of the original (width × height)."
        )


def _drawn(looker: Looker, number: int, settings: Settings) -> tuple[Look, list[str]]:
    """Zoom and draw, in a thread."""
    use_one_torch_thread()
    look = looker.look(number, settings)
    urls = [
        as_url(original_with_grid(look)),
        as_url(saliency_over_grey(look)),
        as_exact_url(as_image(look.uniform)),
        as_exact_url(zoomed_with_boxes(look)),
    ]
    return look, urls
