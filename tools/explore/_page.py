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
from foveal.tools.explore._settings import Settings

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
        self._build()

    def _build(self) -> None:
        ui.page_title("foveal explore")
        ui.add_css(".nicegui-code pre { white-space: pre-wrap; overflow-wrap: anywhere; }")
        with ui.row().classes("w-full no-wrap max-[700px]:flex-wrap items-start gap-6"):
            with ui.column().classes("w-72 max-[700px]:w-full shrink-0 gap-1"):
                self._build_controls()
            with ui.column().classes("grow min-w-0 gap-2"):
                self._caption = ui.label().classes("text-lg").mark("caption")
                self._fault = ui.label().classes("text-red-700 text-lg").mark("fault")
                with ui.element("div").classes("w-full grid grid-cols-4 max-[1100px]:grid-cols-2 gap-3"):
                    self._pictures = [self._build_picture(title) for title in TITLES]
                self._under = ui.label(
                    "Point at the zoomed image: how much of the original a pixel shows."
                ).mark("under")
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
        self._choice("family", list(get_args(Family)), "Family of grids")
        for name, each in DESCRIBED.items():
            if each.label is not None:
                self._slider(name, each.marks, each.label, each.mark_of(getattr(start, name)))
        self._slider("size", (32, 512, 16), "Output height and width, in pixels", start.size)
        with ui.expansion("Augmentation").classes("w-full"):
            self._slider("hflip", (0, 1, 0.1), "Chance of mirroring", start.hflip)
            self._slider("rotate_deg", (0, 45, 1), "Largest turn, in degrees", start.rotate_deg)
            self._slider(
                "crop_least", (0.1, 1, 0.05), "Smallest crop, as a share of the area", start.crop_least
            )
            self._slider("epoch", (0, 20, 1), "Epoch: other random views", start.epoch)

    def _slider(self, name: str, marks: tuple[float, float, float], label: str, value: float) -> None:
        least, most, step = marks
        shown = ui.label()
        slider = ui.slider(
            min=least, max=most, step=step, value=value, on_change=functools.partial(self._set, name)
        )
        slider.props(f'data-setting="{name}"').mark(name)
        shown.bind_text_from(slider, "value", lambda now: f"{label}: {now:g}")

    def _choice(self, name: str, options: list[str], label: str) -> None:
        ui.select(
            options,
            value=getattr(self._settings, name),
            label=label,
            on_change=functools.partial(self._set, name),
        ).classes("w-full").mark(name)

    def _build_picture(self, title: str) -> ui.interactive_image:
        with ui.column().classes("gap-0 min-w-0"):
            ui.label(title).classes("font-bold")
            picture = (
                ui.interactive_image(cross=False)
                .classes("w-full")
                .props(f'data-picture="{title}"')
                .mark(title)
            )
            picture.style("image-rendering: pixelated" if title in TITLES[2:] else "")
        if title == TITLES[3]:
            picture.on_mouse(self._point)
        return picture

    def _build_code(self, language: str) -> ui.code:
        return ui.code("", language=language).classes("w-full").mark(language)

    async def _set(self, name: str, event: Any) -> None:
        value = DESCRIBED[name].value_at(event.value) if name in DESCRIBED else event.value
        if name in ("size", "epoch"):
            value = int(value)
        self._settings = replace(self._settings, **{name: value})
        await self._refresh()

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
            try:
                drawn = await run.io_bound(_drawn, self._looker, self._number, self._settings)
            except (DataError, ValueError) as error:
                self._show_fault(str(error))
                return
            if drawn is not None:  # None while the server is stopping
                self._show(*drawn)

    def _show_fault(self, reason: str) -> None:
        self._look = None
        self._caption.text = f"Sample {self._number} of {len(self._looker)}"
        self._fault.text = reason
        for picture in self._pictures:
            picture.set_source("")

    def _show(self, look: Look, urls: list[str]) -> None:
        self._look = look
        height, width, _ = look.original.image.shape
        boxes = f", {len(look.kept)} of {len(look.original.boxes)} boxes" if self._looker.source.boxes else ""
        self._caption.text = f"Sample {self._number} of {len(self._looker)}: {look.original.key}, {width} × {height} pixels{boxes}"
        self._fault.text = ""
        for picture, url in zip(self._pictures, urls, strict=True):
            picture.set_source(url)
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
