import inspect
import re

import numpy as np
import pytest
import torch
from torch import nn

from foveal.sampler import (
    PriorSaliency,
    ResNet18Saliency,
    SaliencyNet,
    SaliencySampler,
    SaliencyUNet,
    SpectralSaliency,
)
from foveal.sampler.saliency._spectral_saliency import _smooth_reading, _spectral_residual, _spectrum
from tests import reference
from tests.checks import check_close, unhooked


@pytest.fixture
def small():
    return torch.rand(3, 3, 64, 48, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("saliency", [SaliencyNet, ResNet18Saliency, SpectralSaliency])
def test_shape_and_batching(saliency, small):
    """Logits have the requested size, and in evaluation they do not depend on the batch."""
    module = saliency(map_size=(9, 14)).eval()
    logits = module(small)

    assert logits.shape == (3, 1, 9, 14)
    check_close(logits, torch.cat([module(one[None]) for one in small]), 1e-4)


@pytest.mark.parametrize("kind", [SaliencyNet, SaliencyUNet])
@pytest.mark.parametrize("size", [(128, 128), (64, 96), (40, 24)])
@torch.no_grad()
def test_net_has_the_same_bits_in_any_batch(kind, size):
    """In evaluation not even the last bit of a logit depends on the batch or on the number of torch's threads."""
    module, threads = kind().eval(), torch.get_num_threads()
    for weight in module.parameters():
        weight.normal_(std=0.3)
    images = torch.rand(4, 3, *size)
    try:
        found = []
        for number in (1, 2):
            torch.set_num_threads(number)
            found += [module(images)[:1], module(images[:1])]
            found.append(module(images[:1].contiguous(memory_format=torch.channels_last)))
            with torch.enable_grad():
                found.append(module.requires_grad_(requires_grad=False)(images[:1]))
    finally:
        torch.set_num_threads(threads)

    assert all(torch.equal(logits, found[0]) for logits in found[1:])


@pytest.mark.parametrize("saliency", [SaliencyNet, ResNet18Saliency, SpectralSaliency])
def test_no_images(saliency, small):
    """An empty batch gives no maps and no error."""
    assert saliency(map_size=(9, 14)).eval()(small[:0]).shape == (0, 1, 9, 14)


def test_net_sees_single_samples_in_training_too(small):
    """In training, logits do not depend on the batch, so micro-batches change nothing."""
    module = SaliencyNet().train()

    check_close(module(small), torch.cat([module(one[None]) for one in small]), 1e-5)


@pytest.mark.parametrize("saliency", [SaliencyNet, ResNet18Saliency])
def test_untrained_maps_are_near_uniform_and_learn(saliency, small):
    """The first map is nearly uniform, and every weight has a gradient except a constant that the softmax ignores."""
    torch.manual_seed(0)
    module = saliency()
    weights = module(small).flatten(1).softmax(dim=1)
    (weights * torch.randn_like(weights)).sum().backward()
    without = [name for name, p in module.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]

    assert weights.max() * 961 < 1.5
    assert weights.min() * 961 > 0.67
    assert [name for name in without if not name.endswith("head.bias")] == []


@pytest.mark.parametrize(
    ("module", "second", "faster"),
    [
        (SaliencyNet(), "stem.1", True),
        (SaliencyNet(frame="cells"), "stem.1", False),
        (SaliencyUNet(), "fine.1", True),
    ],
)
def test_order_in_memory_changes_no_value(small, module, second, faster, monkeypatch):
    """In training on the CPU, the network's logits and gradients are those of the usual order in memory, and its gradients have its weights' strides."""

    def logits_and_gradients(module):
        module.zero_grad()
        logits = module(small)
        logits.square().sum().backward()
        return [logits, *(p.grad for p in module.parameters())]

    for weight in module.parameters():
        nn.init.normal_(weight, std=0.3)
    orders = []
    module.get_submodule(second).register_forward_pre_hook(
        lambda _, inputs: orders.append(inputs[0].is_contiguous(memory_format=torch.channels_last))
    )
    found = logits_and_gradients(module)
    strides = [p.grad.stride() == p.stride() for p in module.parameters()]
    module.eval()(small)
    monkeypatch.setattr(inspect.getmodule(type(module)), "channels_last", lambda features: features)
    expected = logits_and_gradients(module.train())

    assert orders == [faster, False, False]
    assert all(strides)
    for ours, theirs in zip(found, expected, strict=True):
        check_close(ours, theirs, 1e-5 * theirs.abs().max().item())


def expected_trunk():
    """Return keys and shapes of torchvision's ResNet-18 up to layer3, by their rule."""

    def norm(name, width):
        shapes = {f"{name}.{key}": (width,) for key in ("weight", "bias", "running_mean", "running_var")}
        return {**shapes, f"{name}.num_batches_tracked": ()}

    keys = {"conv1.weight": (64, 3, 7, 7), **norm("bn1", 64)}
    inputs = 64
    for layer, width in ((1, 64), (2, 128), (3, 256)):
        for block in (0, 1):
            name = f"layer{layer}.{block}"
            keys[f"{name}.conv1.weight"] = (width, inputs, 3, 3)
            keys[f"{name}.conv2.weight"] = (width, width, 3, 3)
            keys |= norm(f"{name}.bn1", width) | norm(f"{name}.bn2", width)
            if inputs != width:
                keys[f"{name}.downsample.0.weight"] = (width, inputs, 1, 1)
                keys |= norm(f"{name}.downsample.1", width)
            inputs = width
    return keys


def test_resnet_has_torchvisions_names():
    """The state_dict has torchvision's names and a head."""
    have = {name: tuple(value.shape) for name, value in ResNet18Saliency().state_dict().items()}

    assert have == {**expected_trunk(), "head.weight": (1, 256, 1, 1), "head.bias": (1,)}


def test_resnet_loads_torchvision():
    """Pretrained weights load into the trunk without layer4 and fc; the head stays; a missing key is an error."""
    module = ResNet18Saliency()
    head = module.head.weight.clone()
    theirs = {
        name: torch.rand(shape) if shape else torch.tensor(7) for name, shape in expected_trunk().items()
    }
    module.load_torchvision(
        {**theirs, "layer4.0.conv1.weight": torch.rand(512, 256, 3, 3), "fc.bias": torch.rand(1000)}
    )

    assert torch.equal(module.layer3[1].conv2.weight, theirs["layer3.1.conv2.weight"])
    assert torch.equal(module.head.weight, head)
    theirs.pop("layer2.0.bn1.bias")
    with pytest.raises(RuntimeError, match=r"layer2\.0\.bn1\.bias"):
        module.load_torchvision(theirs)


def test_residual_equals_the_formula():
    """The half spectrum of the mirrored image gives the result of the whole one in float64."""
    channel = np.random.default_rng(0).random((16, 16))
    grey = torch.from_numpy(channel).float().expand(1, 3, -1, -1)
    ours = _spectral_residual(_spectrum(grey, 16))[0, 0].square()
    theirs = reference.spectral_residual(channel)

    check_close(ours, theirs, 1e-4 * theirs.max())


@pytest.mark.parametrize("power", [2.0, 3.0, 6.0])
def test_spectral_equals_the_formula(power):
    """The map is the sum over three opponent colours, each divided by its mean, with a share spread evenly."""
    rgb = np.random.default_rng(1).random((3, 16, 16))
    red, green, blue = rgb
    colours = rgb.mean(0), red - green, blue - (red + green) / 2
    found = [reference.spectral_residual(channel) ** (power / 2) for channel in colours]
    energy = sum(one / one.mean() for one in found)
    module = SpectralSaliency((16, 16), analysis_px=16, sigma=1e-3, power=power, frame="cells")

    ours = module(torch.from_numpy(rgb).float()[None]).exp()[0, 0]

    theirs = 0.9 * energy / energy.sum() + 0.1 / 256
    check_close(ours, theirs, 1e-4 * theirs.max())


@pytest.mark.parametrize("map_size", [7, 31, 64])
def test_spectral_multiplies_no_subnormal_numbers(map_size):
    """The weights that smooth a map sum to one, and none is so small that products with small energies are subnormal."""
    weights = _smooth_reading((map_size, 64), 0.03, "nodes", torch.float32, torch.device("cpu")).double()

    check_close(weights.sum(dim=1), np.ones(map_size), 1e-6)
    assert weights[weights > 0].min() > 1e-10


def test_power_follows_the_strongest():
    """With the sixth power, a red mark on noise has many times the share that it has with the square."""
    image = 0.5 + 0.1 * torch.randn(1, 3, 128, 128, generator=torch.Generator().manual_seed(0))
    image[:, 0, 60:66, 72:78] += 0.4
    shares = [SpectralSaliency(power=power)(image).exp()[0, 0, 13:18, 16:21].sum() for power in (2.0, 6.0)]

    assert shares[1] > 3 * shares[0]


def test_a_checkpoint_knows_its_power(tmp_path):
    """A checkpoint restores the power, also a prior's."""
    zoom = SaliencySampler(8, saliency=PriorSaliency(prior=SpectralSaliency(power=3.0)))
    zoom.save_checkpoint(tmp_path / "zoom.pt")

    assert SaliencySampler.from_checkpoint(tmp_path / "zoom.pt").saliency.prior.power == 3.0


def test_weights_know_their_power():
    """Saved weights restore the power; files from before it could be chosen get the square."""
    state = PriorSaliency(prior=SpectralSaliency(power=3.0)).state_dict()
    now, before, plain = (PriorSaliency(prior=SpectralSaliency(power=6.0)) for _ in range(3))
    now.load_state_dict(state)
    plain.load_state_dict(dict(state))
    del state._metadata["prior"]["power"]
    before.load_state_dict(state)

    assert (now.prior.power, before.prior.power, plain.prior.power) == (3.0, 2.0, 6.0)


def test_spectral_finds_the_odd_one_out():
    """The maximum is on a disc that differs from its surroundings in brightness or in colour alone."""
    generator = torch.Generator().manual_seed(1)
    texture = 0.5 + 0.1 * torch.nn.functional.interpolate(
        torch.randn(1, 3, 32, 32, generator=generator), (128, 128), mode="bilinear"
    )
    y, x = torch.meshgrid(torch.arange(128), torch.arange(128), indexing="ij")
    disc = (y - 84) ** 2 + (x - 32) ** 2 < 5**2
    for colour in ([1.0, 1.0, 1.0], [1.0, 0.26, 0.4]):  # the second has the luma of the texture
        image = torch.where(disc, torch.tensor(colour)[:, None, None], texture)
        row, col = divmod(int(SpectralSaliency()(image)[0, 0].argmax()), 31)

        assert abs(row - 84 / 128 * 31) < 2
        assert abs(col - 32 / 128 * 31) < 2


def test_spectral_map_is_not_stuck_to_the_frame():
    """Opposite edges that differ do not attract saliency; without mirroring the frame had 12 times as much."""
    generator, scales = torch.Generator().manual_seed(0), (4, 8, 16, 32)
    noise = [torch.randn(16, 3, cells, cells, generator=generator) / cells for cells in scales]
    texture = sum(torch.nn.functional.interpolate(one, (128, 128), mode="bilinear") for one in noise)
    weights = SpectralSaliency()(0.6 * texture + torch.linspace(0.2, 0.8, 128)).exp()
    frame = torch.cat([weights[..., [0, -1]].flatten(), weights[..., [0, -1], :].flatten()])

    assert frame.mean() < 1.2 * weights[..., 4:-4, 4:-4].mean()


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_spectral_of_nothing_is_uniform(value):
    """A flat image has a uniform map without NaN."""
    weights = SpectralSaliency()(torch.full((1, 3, 128, 128), value)).exp()

    check_close(weights * 961, torch.ones(1, 1, 31, 31), 0.2)


def test_spectral_sums_to_one_with_a_floor(small):
    """The exponentials of the logits sum to one, and a tenth is spread evenly."""
    weights = SpectralSaliency()(small).exp()

    check_close(weights.sum(dim=(1, 2, 3)), torch.ones(3), 1e-5)
    assert weights.min() >= 0.1 / 961 - 1e-8


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ({"analysis_px": 2}, "analysis_px must be at least 4, got 2."),
        ({"sigma": 0.0}, "sigma must be positive, got 0.0."),
        ({"power": 0.0}, "power must be positive, got 0.0."),
        ({"uniform_share": 0.0}, "uniform_share must be in (0, 1], got 0.0."),
    ],
)
def test_messages(argument, message):
    """Each error names the argument and its value."""
    with unhooked(), pytest.raises(ValueError, match=re.escape(message)):
        SpectralSaliency(**argument)


@pytest.mark.parametrize("seed", range(3))
def test_contrast_begins_with_what_stands_out(seed):
    """With contrast, an untrained network prefers a square on an even ground; without, it hardly does."""
    images = torch.full((1, 3, 128, 128), 0.4)
    images[:, 0, 40:56, 72:88:4] = 0.9
    shares = []
    for contrast in (0.0, 0.03):
        torch.manual_seed(seed)
        zoom = SaliencySampler(32, saliency=SaliencyNet(contrast=contrast), temperature=1 / 8)
        with torch.no_grad():
            saliency = zoom(images).saliency[0, 0]
        shares.append(float(saliency[8:15, 16:23].sum()) * 31**2 / 49)

    assert shares[1] > 2
    assert shares[1] > shares[0]
