"""`sample` normalises pixels and writes other dtypes and memory formats as torch would do afterwards."""

import pickle
import re

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from foveal.sampler import FixedSaliency, SaliencySampler, UniformSampler, lowres, sample
from foveal.sampler.kernels.plain import sample_plainly
from foveal.sampler.sampling._sample_op import sample_op, sample_with_slope_op
from tests.checks import check_close, unhooked
from tests.sampler.noise import noise
from tests.strategies import softmax_map

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
ROUNDING = {torch.float64: 1e-12, torch.float32: 1e-5, torch.float16: 4e-3, torch.bfloat16: 4e-2}

either = pytest.mark.parametrize("antialias", [False, True])


def wild_grid(batch, height, width, dtype=torch.float32, reach=1.3):
    generator = torch.Generator().manual_seed(batch + height + width)
    return (reach * (2 * torch.rand(batch, height, width, 2, generator=generator) - 1)).to(dtype)


def given_as(kind):
    """Return three images in each form that users have."""
    if kind == "ragged":
        return [noise(31, 17), noise(1, 1, 1), noise(8, 40, 2)]
    dense = torch.stack([noise(9, 11, k) for k in range(3)]).permute(0, 3, 1, 2)
    return dense if kind == "bytes" else dense / 255


def as_asked(plain, mean, std, dtype):
    """Return what torch makes of pixels afterwards."""
    columns = [
        torch.tensor(values, dtype=torch.float64)[:, None, None]
        for values in (mean or [0] * 3, std or [1] * 3)
    ]
    return ((plain.double() - columns[0]) / columns[1]).to(dtype)


def is_channels_last(pixels):
    return pixels.permute(0, 2, 3, 1).is_contiguous()


@settings(max_examples=25, deadline=None)
@given(
    st.sampled_from(["ragged", "bytes", "floats"]),
    st.booleans(),
    st.sampled_from([torch.float32, torch.float64]),
    st.tuples(st.integers(1, 9), st.integers(1, 9)),
    st.fixed_dictionaries(
        {
            "mean": st.sampled_from([None, MEAN]),
            "std": st.sampled_from([None, STD]),
            "dtype": st.sampled_from([None, *ROUNDING]),
            "channels_last": st.booleans(),
        }
    ),
)
def test_equals_torch_afterwards(kind, antialias, precision, size, form):
    """Values, dtype and strides equal torch's for every combination, with and without gradients."""
    images, grid = given_as(kind), wild_grid(3, *size, precision)
    plain, wanted = sample(images, grid, antialias=antialias), form["dtype"] or precision
    expected = as_asked(plain, form["mean"], form["std"], wanted)
    for points in (grid, grid.clone().requires_grad_()):
        pixels = sample(images, points, antialias=antialias, **form)

        assert pixels.dtype == wanted
        assert is_channels_last(pixels) if form["channels_last"] else pixels.is_contiguous()
        check_close(pixels.float(), expected.float(), max(ROUNDING[wanted], ROUNDING[precision]))


@either
@pytest.mark.parametrize("channels_last", [False, True])
def test_the_kernel_rounds_as_torch_does(antialias, channels_last):
    """The kernel's product and sum are bit-identical to torch's on the unnormalised values."""
    images, grid = given_as("ragged"), wild_grid(3, 7, 8)
    plain = sample(images, grid, antialias=antialias)
    scale, shift = (
        torch.tensor(values)[:, None, None]
        for values in ([1 / b for b in STD], [-a / b for a, b in zip(MEAN, STD, strict=True)])
    )

    assert torch.equal(
        sample(images, grid, antialias=antialias, mean=MEAN, std=STD, channels_last=channels_last),
        plain * scale + shift,
    )
    assert torch.equal(sample(images, grid, antialias=antialias, channels_last=channels_last), plain)
    assert torch.equal(sample(images, grid, antialias=antialias, mean=[0.0] * 3, std=[1.0] * 3), plain)


@either
@pytest.mark.parametrize("precision", [torch.float32, torch.float64])
def test_plain_implementation_and_kernel_agree(antialias, precision):
    """Values and slopes of plain torch and kernel agree, in each dtype and memory format."""
    images, grid = given_as("ragged"), wild_grid(3, 6, 5, precision)
    scale, shift = [3.0, -0.5, 7.0], [-1.0, 2.0, 0.25]
    for dtype, rounding in ROUNDING.items():
        for last in (False, True):
            pixels, slope = sample_with_slope_op(images, grid, antialias, scale, shift, dtype, last)
            plain, plain_slope = torch.empty_like(pixels), torch.empty_like(slope)
            sample_plainly(images, grid, plain, plain_slope, antialias=antialias, scale=scale, shift=shift)

            check_close(pixels.float(), plain.float(), max(rounding, ROUNDING[precision]))
            check_close(slope, plain_slope, 1e-10 if precision == torch.float64 else 1e-2)
            assert slope.dtype == precision
            assert slope.is_contiguous()
            assert torch.equal(sample_op(images, grid, antialias, scale, shift, dtype, last), pixels)


def test_gradcheck():
    """Numeric and analytic derivatives agree, by the grid and by dense images."""
    ragged, grid = given_as("ragged"), wild_grid(3, 4, 3, torch.float64, reach=0.9).requires_grad_()
    form = {"antialias": False, "mean": MEAN, "std": STD, "channels_last": True}

    assert torch.autograd.gradcheck(lambda g: sample(ragged, g, **form), grid)
    dense = given_as("floats").double().requires_grad_()
    assert torch.autograd.gradcheck(lambda i, g: sample(i, g, **form), (dense, grid))


@either
@pytest.mark.parametrize("kind", ["ragged", "floats"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_backward_in_any_form(kind, dtype, antialias):
    """A half-precision, channels-last gradient reaches the grid in the grid's dtype, divided by std."""
    images, weight = (
        given_as(kind),
        torch.randn(3, 3, 4, 5, generator=torch.Generator().manual_seed(1)).to(dtype),
    )
    ours, theirs = (wild_grid(3, 4, 5, reach=0.9).requires_grad_() for _ in range(2))
    pixels = sample(images, ours, antialias=antialias, mean=MEAN, std=STD, dtype=dtype, channels_last=True)
    pixels.backward(weight.contiguous(memory_format=torch.channels_last))
    sample(images, theirs, antialias=antialias).backward(weight.float() / torch.tensor(STD)[:, None, None])

    assert ours.grad.dtype == torch.float32
    check_close(ours.grad, theirs.grad, 1e-3)


def test_any_number_of_channels_as_floats():
    """A dense tensor of five channels takes five means and stds."""
    images, grid = torch.rand(2, 5, 6, 7), wild_grid(2, 3, 4)
    pixels = sample(images, grid, mean=[0.0, 1.0, 2.0, 3.0, 4.0], std=[2.0] * 5)

    check_close(pixels, (sample(images, grid) - torch.arange(5)[:, None, None]) / 2, 1e-5)


@pytest.mark.parametrize("sampler", [SaliencySampler, UniformSampler])
@pytest.mark.parametrize("kind", ["ragged", "floats"])
def test_samplers_pass_it_on(sampler, kind):
    """Samplers write the requested form; grid and saliency do not change, also under autocast and after pickling."""
    torch.manual_seed(0)
    plain, images = sampler(8).eval(), given_as(kind)
    formed = sampler(8, mean=MEAN, std=STD, dtype=torch.bfloat16, channels_last=True).eval()
    formed.load_state_dict(plain.state_dict())
    zoomed, grid, saliency = plain(images)
    for zoom in (formed, pickle.loads(pickle.dumps(formed))):
        ours = zoom(images)

        assert torch.equal(ours.grid, grid)
        assert torch.equal(ours.saliency, saliency)
        assert ours.images.dtype == torch.bfloat16
        assert is_channels_last(ours.images)
        check_close(ours.images.float(), as_asked(zoomed, MEAN, STD, torch.bfloat16).float(), 4e-2)


@pytest.mark.parametrize("kind", ["ragged", "floats"])
def test_autocast_changes_nothing(kind):
    """Under autocast the result is bit-identical."""
    saliency = FixedSaliency(softmax_map(7, 9)[0, 0].float())
    for zoom in (
        SaliencySampler(8, saliency=saliency, mean=MEAN, std=STD),
        UniformSampler(8, dtype=torch.float16, channels_last=True),
    ):
        plain = zoom(given_as(kind))
        with torch.autocast("cpu", torch.bfloat16):
            mixed = zoom(given_as(kind))

        assert plain.images.dtype == mixed.images.dtype
        assert torch.equal(plain.images, mixed.images)


def test_the_saliency_network_sees_plain_values():
    """The saliency network's input stays in [0, 1]."""
    seen = []

    class Watches(torch.nn.Module):
        def forward(self, small):
            seen.append(small)
            return small.mean(dim=1, keepdim=True)

    images = given_as("ragged")
    SaliencySampler(8, saliency=Watches(), lowres_size=(5, 6), mean=MEAN, std=STD, dtype=torch.float16)(
        images
    )

    assert torch.equal(seen[0], lowres(images, (5, 6)))


@pytest.mark.slow
def test_compiles_and_exports(run_plain):
    """torch.compile and torch.export work for samplers with the requested form."""
    run_plain("""
        import torch
        from foveal.sampler import SaliencySampler, UniformSampler
        torch.manual_seed(0)
        ragged = [torch.randint(0, 256, (h, w, 3), dtype=torch.uint8) for h, w in ((30, 28), (40, 50))]
        form = dict(mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.4), dtype=torch.bfloat16, channels_last=True)
        for zoom, images in (
            (SaliencySampler(8, lowres_size=(32, 32), antialias=False, **form).eval(), ragged),
            (UniformSampler(8, **form), torch.rand(2, 3, 20, 30)),
        ):
            plain = zoom(images)
            compiled = torch.compile(zoom, fullgraph=True, backend="aot_eager")(images)
            exported = torch.export.export(zoom, (images,)).module()(images)
            for ours in (compiled, exported):
                assert ours.images.dtype == torch.bfloat16
                assert ours.images.stride() == plain.images.stride()
                torch.testing.assert_close(ours.images, plain.images, atol=0.1, rtol=0)
            if weights := list(zoom.parameters()):
                compiled.images.float().square().sum().backward()
                assert all(weight.grad is not None for weight in weights)
    """)


WRONG = [
    ({"mean": (0.5,)}, ValueError, "mean must be 3 numbers, one for each channel, got (0.5,) – give one for each."),
    ({"std": [1, 2]}, ValueError, "std must be 3 numbers, one for each channel, got (1.0, 2.0) – give one for each."),
    ({"std": (1, 0, 1)}, ValueError, "std must be positive and finite, got (1.0, 0.0, 1.0) – leave it out to divide by nothing."),
    ({"std": (1, torch.inf, 1)}, ValueError, "std must be positive and finite, got (1.0, inf, 1.0)"),
    ({"mean": (0, torch.nan, 0)}, ValueError, "mean must be finite, got (0.0, nan, 0.0) – leave it out to subtract nothing."),
    ({"dtype": torch.uint8}, TypeError, "dtype must be floating point, got torch.uint8 – use torch.float32, torch.float16 or torch.bfloat16."),
]  # fmt: skip


@pytest.mark.parametrize(("arguments", "error", "message"), WRONG)
def test_messages(arguments, error, message):
    """Each error names the argument, its value and what to do."""
    with unhooked(), pytest.raises(error, match=re.escape(message)):
        sample(given_as("ragged"), wild_grid(3, 2, 2), **arguments)
    with unhooked(), pytest.raises(error, match=re.escape(message)):
        UniformSampler(8, **arguments)(given_as("floats"))


@pytest.mark.parametrize("sampler", [SaliencySampler, UniformSampler])
@pytest.mark.parametrize(("arguments", "error", "message"), WRONG[2:])
def test_samplers_refuse_at_once(sampler, arguments, error, message):
    """Invalid settings are refused when a sampler is made."""
    with unhooked(), pytest.raises(error, match=re.escape(message)):
        sampler(8, **arguments)


def test_repr():
    """The representation of a sampler shows the form of its pixels."""
    assert "PixelFormat(mean=(0.5, 0.5, 0.5), std=None, dtype=torch.float16, channels_last=True)" in repr(
        SaliencySampler(8, mean=[0.5] * 3, dtype=torch.float16, channels_last=True)
    )
