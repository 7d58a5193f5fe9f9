"""Samplers give the same zoom under autocast, torch.compile and torch.export."""

import pytest
import torch

from foveal.sampler import FixedSaliency, SaliencySampler, SpectralSaliency, UniformSampler
from tests.checks import check_close
from tests.strategies import FAMILIES, softmax_map

pytestmark = pytest.mark.usefixtures("one_thread")

VIEWS = torch.tensor([[[-0.5, 0.1, 0], [0.2, 0.6, 0.1]]]).repeat(2, 1, 1)

# For a fresh interpreter: the zooms and inputs that both ways are tried with.
SETUP = """
    import torch
    from foveal.sampler import SaliencySampler, UniformSampler, unzoom, zoom_grid
    torch.manual_seed(0)
    torch.set_num_threads(1)
    ragged = [torch.randint(0, 256, (h, w, 3), dtype=torch.uint8) for h, w in ((300, 280), (40, 50))]
    dense = torch.rand(2, 3, 60, 80)
    views = torch.tensor([[[-0.5, 0.1, 0], [0.2, 0.6, 0.1]]]).repeat(2, 1, 1)
    def zooms(antialias):
        yield SaliencySampler((12, 16), lowres_size=(64, 64), max_zoom=3.0, antialias=antialias)
        yield UniformSampler((12, 16), antialias=antialias)
    def check(ours, theirs):
        for a, b in zip(ours, theirs, strict=True):
            torch.testing.assert_close(a, b, atol=1e-3, rtol=0)
"""

# After torch.compile: it looked into no implementation of an operator.
SEES_NONE = 'assert not [reason for reason in counters["graph_break"] if "ndarray" in reason or "CPUDispatcher" in reason]'


def inputs(kind):
    if kind == "dense":
        return torch.rand(2, 3, 60, 80, generator=torch.Generator().manual_seed(0))
    draw = torch.Generator().manual_seed(0)
    return [
        torch.randint(0, 256, (h, w, 3), dtype=torch.uint8, generator=draw) for h, w in ((30, 28), (40, 50))
    ]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("kind", ["dense", "ragged"])
@pytest.mark.parametrize("family", FAMILIES)
def test_autocast_changes_nothing_but_the_network(family, kind, dtype):
    """Without a network, all results are bit-identical under autocast, with views, too."""
    images = inputs(kind)
    zooms = [
        SaliencySampler(
            12, saliency=FixedSaliency(softmax_map(7, 9)[0, 0].float()), family=family, max_zoom=4.0
        ),
        SaliencySampler(12, saliency=SpectralSaliency(), family=family, antialias=False),
        UniformSampler(12),
    ]
    for zoom in zooms:
        plain = zoom(images, views=VIEWS)
        with torch.autocast("cpu", dtype):
            mixed = zoom(images, views=VIEWS)

        for a, b in zip(plain, mixed, strict=True):
            assert b.dtype == torch.float32
            assert torch.equal(a, b)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.bfloat16, 2e-3), (torch.float16, 2e-4)])
def test_autocast_with_a_network(dtype, tolerance):
    """With a network, only the network's own rounding changes the grid."""
    torch.manual_seed(0)
    zoom = SaliencySampler(32).eval()
    plain = zoom(inputs("ragged"), views=VIEWS)
    with torch.autocast("cpu", dtype):
        mixed = zoom(inputs("ragged"), views=VIEWS)

    assert {value.dtype for value in mixed} == {torch.float32}
    check_close(mixed.grid, plain.grid, tolerance)


@pytest.mark.slow
def test_exports_with_any_number_of_images(run_plain):
    """torch.export takes samplers with views and a dynamic batch size."""
    run_plain(f"""{SETUP}
    batch = {{0: torch.export.Dim("batch")}}
    more, more_views = torch.rand(5, 3, 60, 80), views[:1].repeat(5, 1, 1)
    for zoom in zooms(antialias=False):
        program = torch.export.export(
            zoom, (dense,), {{"views": views}}, dynamic_shapes={{"images": batch, "views": batch}}
        )
        check(program.module()(more, views=more_views), zoom(more, views=more_views))
    """)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("images", "antialias", "backend"),
    [
        ("ragged", False, "inductor"),
        ("dense", False, "aot_eager"),
        ("ragged", True, "aot_eager"),
        ("dense", True, "aot_eager"),
    ],
)
def test_compiles_and_exports(run_plain, images, antialias, backend):
    """Compiled samplers have the same images, grids and gradients, and so has an exported program."""
    run_plain(f"""{SETUP}
    for zoom in zooms({antialias}):
        plain = zoom({images}, views=views)
        compiled = torch.compile(zoom, fullgraph=True, backend="{backend}")({images}, views=views)
        check(compiled, plain)
        if weights := list(zoom.parameters()):
            ours, theirs = (torch.autograd.grad(z.images.square().sum(), weights) for z in (compiled, plain))
            for a, b in zip(ours, theirs, strict=True):
                torch.testing.assert_close(a, b, atol=1e-2, rtol=1e-2)
        program = torch.export.export(zoom, ({images},), {{"views": views}})
        check(program.module()({images}, views=views), plain)
    """)


def test_torchs_compiler_is_loaded_by_nobody_and_sees_no_implementation(run_plain):
    """The first batch does not load torch's compiler; in compiled code, operators are opaque."""
    run_plain(f"""{SETUP}
    import sys, warnings
    for zoom in zooms(antialias=True):
        zoom(ragged).images.sum().requires_grad_().backward()
    assert "torch._dynamo" not in sys.modules

    from torch._dynamo.utils import counters
    warnings.simplefilter("error")
    def given_up(images):
        try:
            torch._dynamo.graph_break()
            return torch.ops.foveal.lowres.default(images, 4, 5)
        finally:
            pass
    ours = torch.compile(given_up, backend="eager")(ragged)
    assert torch.equal(ours, given_up(ragged))
    {SEES_NONE}
    """)


@pytest.mark.slow
@pytest.mark.parametrize("family", ["kernel", "separable"])
def test_torchs_compiler_sees_no_implementation_of_the_inverse(run_plain, family):
    """In compiled code, the operators of `unzoom` are opaque, too."""
    run_plain(f"""{SETUP}
    from torch._dynamo.utils import counters
    grid = zoom_grid(torch.rand(2, 1, 9, 9), (20, 30), family={family!r})
    back = torch.compile(unzoom, backend="eager")(dense, grid, (12, 13))
    assert torch.equal(back, unzoom(dense, grid, (12, 13)))
    {SEES_NONE}
    """)
