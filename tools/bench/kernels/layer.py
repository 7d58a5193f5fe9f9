"""``foveal bench layer``: what does the paper's layer cost on a batch of floating-point tensors, beside the published form of it?

The published form is written here from its formulas (Recasens et al. 2018; section 3.2, and the code that came with it): a copy by
``AdaptiveAvgPool2d``, saliency on 31 x 31, a convolution of the map, padded to 91 x 91, with a 61 x 61 Gaussian that receives a
gradient, the nodes enlarged by ``interpolate``, and ``grid_sample`` of the whole images. `SaliencySampler` runs beside it with the
published settings, which give the same pixels, and as it is by default, with another grid and the mean over each pixel's
footprint. All use one small network, so that the layer is measured and not the network.
"""

import math
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own custom
from jaxtyping import Float
from rich.console import Console
from torch import Tensor, nn

from foveal.sampler import SaliencySampler
from foveal.tools.bench.kernels._agreement import check_agreement
from foveal.tools.bench.timing import Timing, alternate, write_json
from foveal.tools.console.machine import describe_machine
from foveal.tools.console.table import print_table
from foveal.tools.console.zoom_choice import PAPER

SIZE, MAP, WIDTH = 224, 31, 13.0
CASES = ((8, 224, 224), (8, 800, 800), (1, 2000, 3000))
"""Images of a batch, and their height and width: small ones, those of the published demo, and one photograph."""
TOLERANCE = 1e-9
"""Of pixels in [0, 1], in float64: in float32, each form alone is further off at the border of a large image."""
PUBLISHED = "published form"

Images = Float[Tensor, "batch 3 height width"]
Layer = Callable[[Tensor], Tensor]


class PublishedLayer(nn.Module):
    """The published layer, around a network that gives logits on 31 x 31."""

    def __init__(self, saliency: nn.Module) -> None:
        super().__init__()
        self.saliency = saliency
        place = torch.arange(1 - MAP, MAP, dtype=torch.float64)
        line = torch.exp(-4 * math.log(2) * (place / WIDTH) ** 2)
        self.kernel = nn.Parameter((line[:, None] * line)[None, None])

    def forward(self, images: Images) -> Float[Tensor, "batch 3 size size"]:
        """Zoom a batch."""
        logits = self.saliency(F.adaptive_avg_pool2d(images, (SIZE, SIZE)))
        weights = logits.flatten(1).softmax(dim=1).view_as(logits)
        padded = F.pad(weights, [MAP - 1] * 4, mode="replicate")
        x = torch.arange(1 - MAP, 2 * MAP - 1, dtype=weights.dtype) / (MAP - 1)
        mass = F.conv2d(padded, self.kernel)
        moments = [F.conv2d(padded * place, self.kernel) for place in (x, x[:, None])]
        nodes = (2 * torch.cat(moments, dim=1) / mass - 1).clamp(-1, 1)
        grid = F.interpolate(nodes, (SIZE, SIZE), mode="bilinear", align_corners=False)
        return F.grid_sample(images, grid.permute(0, 2, 3, 1), align_corners=False)


class SmallSaliency(nn.Module):
    """One convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 1, kernel_size=7, stride=7)

    def forward(self, small: Images) -> Float[Tensor, "batch 1 rows cols"]:
        """Return logits on 31 x 31."""
        logits: Tensor = self.conv(small)
        return F.interpolate(logits, (MAP, MAP), mode="bilinear", align_corners=False)


def bench_layer(
    *, repeats: int = 5, cases: Sequence[tuple[int, int, int]] = CASES, json_path: Path | None = None
) -> dict[str, Timing]:
    """Time all after checking that the published settings give the published pixels, print a table, and return the timings.

    Args:
        repeats: Rounds.
        cases: Images of a batch, and their height and width.
        json_path: Where the numbers go too.

    Raises:
        ValueError: Pixels differ.
    """
    console = Console()
    torch.manual_seed(0)
    layers, exact = make_layers(torch.float32), make_layers(torch.float64)
    acts = {"forward": _forward, "backward too": _forward_backward}
    runs: dict[str, dict[str, Callable[[], object]]] = {}
    ways: dict[str, Callable[[], object]]
    for batch, height, width in cases:
        images = F.interpolate(torch.rand(batch, 3, 9, 9), (height, width), mode="bilinear")
        check_agreement(
            "pixels",
            exact["published settings"](images.double()),
            exact[PUBLISHED](images.double()),
            TOLERANCE,
        )
        for act, run in acts.items():
            ways = {name: partial(run, layer, images) for name, layer in layers.items()}
            runs[f"{batch} of {height} × {width}, {act}"] = ways
    console.print(
        f"To {SIZE} × {SIZE}, on {describe_machine()}, {torch.get_num_threads()} threads. Checked: the published settings give "
        "the published form's pixels.",
        soft_wrap=True,
    )
    timings: dict[str, Timing] = {}
    rows = []
    for case, ways in runs.items():
        timed = alternate(ways, repeats, console=console)
        for name, timing in timed.items():
            timings[f"{name}, {case}"] = timing
            ratio = timing.times_faster_than(timed[PUBLISHED])
            rows.append([f"{name}, {case}", f"{1000 * timing.median:.1f}", f"{ratio:.2f}"])
    print_table(console, ["", "ms a batch", "times as fast"], rows)
    if json_path:
        write_json(json_path, "layer", timings, size=SIZE, map=MAP)
    return timings


def make_layers(dtype: torch.dtype) -> dict[str, Layer]:
    """Return the published form, the sampler with its settings, and the sampler by default, by name, with one network."""
    saliency = SmallSaliency().to(dtype)
    published = SaliencySampler(
        SIZE,
        saliency=saliency,
        lowres_size=(SIZE, SIZE),
        **PAPER.chosen,
        padding="replicate",
        compat="torch13plus",
        antialias=False,
    )
    default = SaliencySampler(SIZE, saliency=saliency, lowres_size=(SIZE, SIZE))
    return {
        PUBLISHED: PublishedLayer(saliency).to(dtype),
        "published settings": lambda images: published(images).images,
        "default, anti-aliased": lambda images: default(images).images,
    }


@torch.no_grad()
def _forward(layer: Layer, images: Images) -> None:
    layer(images)


def _forward_backward(layer: Layer, images: Images) -> None:
    """To the weights of the network, which is what learns; the images have no gradient."""
    layer(images).square().mean().backward()  # type: ignore[no-untyped-call]
