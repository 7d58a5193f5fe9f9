"""What the demo must know of each of its zooms: how to make it, the code for that, and how its samples are drawn."""

from collections.abc import Callable
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor, nn

from foveal.shards import Shards
from foveal.tools.pictures.sheet import SheetRow


@dataclass(frozen=True, slots=True)
class Picked:
    """A sample that goes on the sheet: its number in the shards, and what the loader delivered."""

    ordinal: int
    image: Float[Tensor, "*patches 3 out_height out_width"]
    grid: Float[Tensor, "*patches out_height out_width 2"]
    saliency: Float[Tensor, "1 rows cols"]


@dataclass(frozen=True, slots=True)
class DemoZoom:
    """A zoom that ``foveal demo`` shows.

    Attributes:
        build: Makes the sampler for an output of this height and width in pixels, or for as many pixels.
        names: The names to import from ``foveal.sampler`` in order to make it.
        code: Returns the Python code that makes it, for an output of this size.
        titles: The titles of the four columns of its sheet.
        row: Makes the row of one sample from the shards, the sample and the output size.
    """

    build: Callable[[int], nn.Module]
    names: str
    code: Callable[[int], str]
    titles: tuple[str, str, str, str]
    row: Callable[[Shards, Picked, int], SheetRow]
