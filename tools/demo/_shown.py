"""What each of the demo's zooms is: how it is made, how one writes that, and what its samples look like on a sheet."""

from collections.abc import Callable
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor, nn

from foveal.shards import Shards
from foveal.tools.pictures.sheet import SheetRow


@dataclass(frozen=True, slots=True)
class Picked:
    """A sample of the epoch that goes on the sheet: its number, and what the loader delivered."""

    ordinal: int
    key: str
    image: Float[Tensor, "*patches 3 out_height out_width"]
    grid: Float[Tensor, "*patches out_height out_width 2"]
    saliency: Float[Tensor, "1 rows cols"]


@dataclass(frozen=True, slots=True)
class DemoZoom:
    """A zoom that ``foveal demo`` shows.

    Attributes:
        build: Makes the sampler for an output of this height and width in pixels, or of as many pixels.
        names: What of ``foveal.sampler`` one imports for it.
        code: What one writes for it, for an output of this size.
        titles: Over the four columns of its sheet.
        row: Makes the row of a sample, of shards and for a size.
    """

    build: Callable[[int], nn.Module]
    names: str
    code: Callable[[int], str]
    titles: tuple[str, str, str, str]
    row: Callable[[Shards, Picked, int], SheetRow]
