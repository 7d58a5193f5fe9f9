"""Programs exported by torch.export or to ONNX give the same pixels, also without Foveal."""

import re

import pytest
import torch

from foveal.sampler import PatchSampler

pytestmark = pytest.mark.usefixtures("one_thread")

# For a fresh interpreter: a smooth picture, whose pixels differ by less than the networks' last bits move its grid.
SETUP = """
    import numpy as np, torch
    from foveal.sampler import PatchSampler, SaliencySampler, UniformSampler
    torch.manual_seed(0)
    torch.set_num_threads(1)
    def pictures(batch, height, width, dtype=torch.float32):
        coarse = torch.rand(batch, 3, 9, 9)
        smooth = torch.nn.functional.interpolate(coarse, (height, width), mode="bilinear")
        return (smooth * 255).byte() if dtype == torch.uint8 else smooth
    def loud(zoom):
        for weight in zoom.parameters():
            weight.data += 0.05 * torch.randn_like(weight)
        return zoom.eval()
    D = torch.export.Dim
    OPEN = {"images": {0: D("b", min=1, max=64), 2: D("h", min=8, max=8192), 3: D("w", min=8, max=8192)}}
    def allowed(zoom):  # 1e-4 of pixels in [0, 1], which normalising multiplies
        return 1e-4 / min((not isinstance(zoom, PatchSampler) and zoom.form.std) or [1.0])
"""


@pytest.mark.slow
def test_a_saved_program_needs_no_foveal(run_plain):
    """A saved program with dynamic batch and size runs in a process with torch alone."""
    run_plain(f"""{SETUP}
    zoom = SaliencySampler(16, saliency=torch.nn.Conv2d(3, 1, 8, 8), max_zoom=4.0).requires_grad_(False)
    more = pictures(3, 61, 90)
    program = torch.export.export(zoom, (pictures(2, 40, 50),), dynamic_shapes=OPEN)
    torch.export.save(program, "zoom.pt2")
    assert type(program.module()(more)).__name__ == "Zoomed"
    assert not program.module()(more.clone().requires_grad_()).images.requires_grad  # an error, not a wrong gradient
    torch.save([more, *zoom(more)], "expected.pt")
    """)
    run_plain("""
    import sys, torch
    more, *expected = torch.load("expected.pt")
    found = torch.export.load("zoom.pt2").module()(more)
    assert type(found) is tuple
    assert not any(name.startswith("foveal") for name in sys.modules)
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=0)
    """)


@pytest.mark.slow
def test_what_comes_with_each_image_is_an_input_of_the_program(run_plain):
    """Maps and boxes are inputs of the program, with any number of boxes."""
    run_plain(f"""{SETUP}
    from foveal.sampler import BoxSaliency, MapChannelSaliency, MapSaliency, PriorSaliency
    maps = [torch.rand(7, 9), torch.rand(24, 24)]
    box = torch.tensor([[0.1, 0.2, 0.3, 0.4]])
    both = PriorSaliency(MapChannelSaliency(), MapSaliency(floor=0.1), gain=1.0)
    sides = {{2: D("h", min=8, max=8192), 3: D("w", min=8, max=8192)}}
    counts = [{{0: D(f"n{{k}}", max=99)}} for k in range(2)]
    for saliency, given, other, shapes in (
        (MapSaliency(), {{"maps": maps}}, {{"maps": [map.flip(1) for map in maps]}}, {{"maps": [{{}}, {{}}]}}),
        (both, {{"maps": maps}}, {{"maps": [map.flip(1) for map in maps]}}, {{"maps": [{{}}, {{}}]}}),
        (BoxSaliency(), {{"boxes": [box.repeat(3, 1), box.repeat(2, 1)]}}, {{"boxes": [box, box[:0]]}}, {{"boxes": counts}}),
    ):
        zoom = loud(SaliencySampler(16, saliency=saliency)).requires_grad_(False)
        shapes = {{"images": sides, **shapes}}
        program = torch.export.export(zoom, (pictures(2, 40, 50),), given, dynamic_shapes=shapes)
        torch.export.save(program, "zoom.pt2")
        more = pictures(2, 61, 90)
        found = torch.export.load("zoom.pt2").module()(more, **other)
        torch.testing.assert_close(found[0], zoom(more, **other).images, atol=1e-5, rtol=0)
    """)


@pytest.mark.slow
def test_images_of_eight_bits(run_plain):
    """A uint8 batch and a list of different sizes give the operators' result, also normalised."""
    run_plain(f"""{SETUP}
    form = {{"mean": [0.5] * 3, "std": [0.2] * 3, "channels_last": True}}
    for zoom in (loud(SaliencySampler(16, **form)).requires_grad_(False), UniformSampler(16, antialias=False)):
        program = torch.export.export(zoom, (pictures(2, 40, 50, torch.uint8),), dynamic_shapes=OPEN).module()
        more = pictures(3, 61, 90, torch.uint8)
        torch.testing.assert_close(program(more).images, zoom(more).images, atol=allowed(zoom), rtol=0)
        ragged = [pictures(1, *size, torch.uint8)[0].permute(1, 2, 0) for size in ((40, 70), (90, 30))]
        program = torch.export.export(zoom, (ragged,)).module()
        torch.testing.assert_close(program(ragged).images, zoom(ragged).images, atol=allowed(zoom), rtol=0)
    """)


@pytest.mark.slow
def test_images_of_sixteen_bits(run_plain):
    """A list of uint16 images gives the operators' result for other images."""
    run_plain(f"""{SETUP}
    def deep():
        return [(pictures(1, 40, 70)[0] * 65535).to(torch.uint16).permute(1, 2, 0)]
    for zoom in (loud(SaliencySampler(16)).requires_grad_(False), UniformSampler(16, antialias=False)):
        program, more = torch.export.export(zoom, (deep(),)).module(), deep()
        torch.testing.assert_close(program(more).images, zoom(more).images, atol=allowed(zoom), rtol=0)
    """)


@pytest.mark.slow
def test_a_program_that_learns_keeps_its_derivatives(run_plain):
    """A program with trainable weights has the sampler's gradients, in float64."""
    run_plain(f"""{SETUP}
    zoom, more = loud(SaliencySampler(16)).double(), pictures(3, 61, 90).double()
    program = torch.export.export(zoom, (pictures(2, 40, 50).double(),), dynamic_shapes=OPEN).module()
    ours, theirs = (
        dict(zip(names, torch.autograd.grad(module(more).images.square().sum(), weights)))
        for module in (program, zoom)
        for names, weights in [zip(*module.named_parameters())]
    )
    for name, gradient in ours.items():
        torch.testing.assert_close(gradient, theirs[name])
    assert max(gradient.abs().max() for gradient in ours.values()) > 0.1
    """)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["torch.float32", "torch.uint8"])
@pytest.mark.parametrize(
    "zoom",
    [
        "loud(SaliencySampler(32))",
        "loud(SaliencySampler(32)).requires_grad_(False)",
        'loud(SaliencySampler(32, family="cdf", max_zoom=4.0, mean=[0.5] * 3, std=[0.2] * 3))',
        'loud(SaliencySampler(32, family="separable", bound="local", max_zoom=3.0))',
        "PatchSampler(3, 40, lowres_size=128).eval()",
        "UniformSampler((24, 32))",
    ],
)
def test_onnx(run_plain, zoom, dtype):
    """ONNX Runtime returns the sampler's pixels, grid and saliency for other batch and image sizes.

    Its Resize rounds the small copy of floating-point images a little differently, by less than 1e-6. A spectral saliency makes
    up to a thousand times as much of that, so the sampler gets the same copy.
    """
    for name in ("onnx", "onnxruntime", "onnxscript"):
        pytest.importorskip(name, reason=f"no {name}: pip install 'foveal[onnx]'")
    run_plain(f"""{SETUP}
    import onnxruntime
    from foveal.sampler import lowres
    class Small(torch.nn.Module):
        def forward(self, images):
            return lowres(images, (128, 128))
    def session(module, name):
        torch.onnx.export(module, (pictures(2, 40, 50, {dtype}),), name, dynamo=True, dynamic_shapes=OPEN)
        ready = onnxruntime.InferenceSession(name)
        return lambda images: ready.run(None, {{ready.get_inputs()[0].name: images.numpy()}})
    zoom = {zoom}
    zoomed, shrunk = session(zoom, "zoom.onnx"), session(Small(), "small.onnx")
    for size in ((3, 61, 90), (1, 400, 300)):
        more = pictures(*size, {dtype})
        small = torch.from_numpy(shrunk(more)[0])
        torch.testing.assert_close(small, lowres(more, (128, 128)), atol=1e-6, rtol=0)
        named = dict() if isinstance(zoom, UniformSampler) else dict(lowres=small)
        tolerances = (allowed(zoom), 1e-4, 1e-4)
        for a, b, tolerance in zip(zoomed(more), zoom(more, **named), tolerances, strict=True):
            np.testing.assert_allclose(a, b.detach().numpy(), atol=tolerance, rtol=0)
    """)


@pytest.mark.slow
@pytest.mark.parametrize("compat", ["torch04", "torch13plus", "align_corners"])
@pytest.mark.parametrize("family", ["kernel", "separable"])
def test_onnx_as_published(run_plain, compat, family):
    """ONNX Runtime opens zooms that do as published code does, and returns their pixels, grid and saliency for other sizes."""
    for name in ("onnx", "onnxruntime", "onnxscript"):
        pytest.importorskip(name, reason=f"no {name}: pip install 'foveal[onnx]'")
    run_plain(f"""{SETUP}
    import onnxruntime
    options = dict(compat="{compat}", family="{family}", antialias=False)
    zoom = SaliencySampler((24, 32), saliency=torch.nn.Conv2d(3, 1, 8, 8), **options).requires_grad_(False).eval()
    torch.onnx.export(zoom, (pictures(2, 40, 50),), "zoom.onnx", dynamo=True, dynamic_shapes=OPEN)
    more = pictures(3, 61, 90)
    for a, b in zip(onnxruntime.InferenceSession("zoom.onnx").run(None, dict(images=more.numpy())), zoom(more)):
        np.testing.assert_allclose(a, b.numpy(), atol=1e-5, rtol=0)
    """)


@pytest.mark.slow
def test_patches_are_exported_for_any_size(run_plain):
    """A program of `PatchSampler` cuts the sampler's patches, with dynamic batch and size or of a list, also beyond the border."""
    run_plain(f"""{SETUP}
    more = pictures(3, 61, 90)
    for geometry in ("centred", "published"):
        zoom = PatchSampler(5, 40, lowres_size=64, geometry=geometry).eval()
        program = torch.export.export(zoom, (pictures(2, 40, 50),), dynamic_shapes=OPEN).module()
        assert zoom(more).grid.abs().max() > 1
        for a, b in zip(program(more), zoom(more), strict=True):
            torch.testing.assert_close(a, b, atol=1e-5, rtol=0)
        for dtype in (torch.uint8, torch.uint16):
            first, ragged = (
                [torch.randint(256, size).to(dtype) for size in ((40, 70, 3), (90, 30, 3))] for _ in range(2)
            )
            program = torch.export.export(zoom, (first,)).module()
            for a, b in zip(program(ragged), zoom(ragged), strict=True):
                torch.testing.assert_close(a, b, atol=1e-5, rtol=0)
    """)


def test_a_patch_sampler_that_trains_says_how_it_is_exported():
    """Exporting a `PatchSampler` in training raises an error that says what to call."""
    message = "training must be False to export a PatchSampler, got True – call eval()."
    with pytest.raises(ValueError, match=re.escape(message)):
        torch.export.export(PatchSampler(1, 8, lowres_size=16), (torch.rand(2, 3, 20, 20),))


@pytest.mark.parametrize(
    "zoom",
    [
        "SaliencySampler(16)",
        *(
            pytest.param(zoom, marks=pytest.mark.slow)
            for zoom in (
                'SaliencySampler(16, antialias=False, bound="local")',
                'SaliencySampler(16, family="separable", saliency=SaliencyNet(contrast=0.1))',
                'SaliencySampler(16, family="cdf", saliency=SaliencyNet(contrast=0.1))',
                "UniformSampler(16)",
            )
        ),
    ],
)
def test_a_traced_zoom_computes(run_plain, zoom):
    """`torch.jit.trace` records what depends on the images: other images of the same size give their own zoom."""
    run_plain(f"""{SETUP}
    import warnings
    from foveal.sampler import SaliencyNet
    warnings.simplefilter("ignore")  # torch's, that it is deprecated, and that sizes become constants
    images, others = pictures(2, 40, 60), pictures(2, 40, 60)
    zoom = {zoom}.requires_grad_(False).eval()
    traced = torch.jit.trace(lambda images: tuple(zoom(images)[:2]), (images,))
    for found, expected in zip(traced(others), zoom(others)):
        torch.testing.assert_close(found, expected, atol=allowed(zoom), rtol=0)
    moved = (zoom(others).grid - zoom(images).grid).abs().max()
    assert moved > 1e-2 or isinstance(zoom, UniformSampler), moved
    """)


@pytest.mark.slow
def test_zooms_as_published_are_exported_for_any_size(run_plain):
    """Zooms that do as published code does are exported with dynamic batch and size, as others are."""
    run_plain(f"""{SETUP}
    for compat, family in (("torch04", "kernel"), ("torch13plus", "kernel"), ("align_corners", "separable")):
        saliency = torch.nn.Conv2d(3, 1, 8, 8)
        zoom = SaliencySampler(16, saliency=saliency, family=family, antialias=False, compat=compat).requires_grad_(False)
        for dtype in (torch.float32, torch.uint8):
            more = pictures(3, 61, 90, dtype)
            program = torch.export.export(zoom, (pictures(2, 40, 50, dtype),), dynamic_shapes=OPEN)
            for a, b in zip(program.module()(more), zoom(more), strict=True):
                torch.testing.assert_close(a, b, atol=1e-5, rtol=0)
    """)
