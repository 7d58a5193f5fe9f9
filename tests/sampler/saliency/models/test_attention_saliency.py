"""Saliency from a transformer's attention, compared with attention that is computed by hand."""

import copy
import pickle
import re
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from torch import nn

from foveal.sampler import AttentionSaliency, SaliencySampler, to_lattice
from tests.checks import check_close, unhooked

pytestmark = pytest.mark.usefixtures("one_thread")

WIDTH, HEADS = 8, 2


class QkvAttention(nn.Module):
    """Attention with one layer for queries, keys and values, as in timm and DINO."""

    def __init__(self):
        super().__init__()
        self.num_heads, self.scale = HEADS, 2.0
        self.qkv, self.proj = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.q_norm, self.k_norm = nn.LayerNorm(WIDTH // HEADS), nn.LayerNorm(WIDTH // HEADS)

    def forward(self, x, rope=None):
        q, k, v = self.qkv(x).unflatten(-1, (3, HEADS, -1)).permute(2, 0, 3, 1, 4)
        mixed = nn.functional.scaled_dot_product_attention(
            self.q_norm(q), self.k_norm(k), v, scale=self.scale
        )
        return x + self.proj(mixed.transpose(1, 2).flatten(2))


class Vit(nn.Module):
    """A vision transformer: patches of 8 pixels after some prefix tokens, and two layers."""

    def __init__(self, layers, before=1, *, tokens_first=False):
        super().__init__()
        self.patch = nn.Conv2d(3, WIDTH, 8, 8)
        self.before = nn.Parameter(torch.randn(before, WIDTH))
        self.layers, self.tokens_first = layers, tokens_first

    def forward(self, images):
        patches = self.patch(images).flatten(2).mT
        tokens = torch.cat([self.before.expand(len(images), -1, -1), patches], 1)
        found = (
            self.layers(tokens.transpose(0, 1)).transpose(0, 1) if self.tokens_first else self.layers(tokens)
        )
        return found[:, 0]


def encoder(*, batch_first=True):
    layer = nn.TransformerEncoderLayer(WIDTH, HEADS, 16, batch_first=batch_first, dropout=0.5)
    return nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)


def seeded(make):
    torch.manual_seed(0)
    vit = make()
    with torch.no_grad():
        for each in vit.parameters():
            each.normal_(std=0.7)
    return vit.eval().requires_grad_(requires_grad=False)


VITS = {
    "torch": lambda: Vit(encoder()),
    "torch, tokens first": lambda: Vit(encoder(batch_first=False), tokens_first=True),
    "torch, registers": lambda: Vit(encoder(), before=4),
    "torch, no class token": lambda: Vit(encoder(), before=0),
    "qkv": lambda: Vit(nn.Sequential(QkvAttention(), QkvAttention())),
}


def by_hand(vit, images, size):
    """Return the attention of the last layer in float64, from its weights and input: (batch, rows, cols)."""
    vit, seen = copy.deepcopy(vit).double(), []
    last = vit.layers[-1] if isinstance(vit.layers, nn.Sequential) else vit.layers.layers[-1].self_attn
    last.register_forward_pre_hook(
        lambda _, args, kwargs: seen.append((args or (kwargs["query"],))[0]), with_kwargs=True
    )
    mean, std = (
        torch.tensor(each).double()[:, None, None] for each in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    )
    with torch.no_grad():
        vit((images.double() - mean) / std)
    x = (seen[0].transpose(0, 1) if vit.tokens_first else seen[0]).numpy()
    if isinstance(last, QkvAttention):
        weight, bias, scale = last.qkv.weight, last.qkv.bias, last.scale
    else:
        weight, bias, scale = last.in_proj_weight, last.in_proj_bias, (WIDTH // HEADS) ** -0.5
    weight, bias = weight.numpy(), bias.numpy()
    paid = 0
    for head in range(HEADS):
        rows = slice(head * WIDTH // HEADS, (head + 1) * WIDTH // HEADS)
        q, k = (x @ weight[at : at + WIDTH][rows].T + bias[at : at + WIDTH][rows] for at in (0, WIDTH))
        if isinstance(last, QkvAttention):
            q, k = (
                normed(each, norm.weight.numpy(), norm.bias.numpy())
                for each, norm in ((q, last.q_norm), (k, last.k_norm))
            )
        products = np.exp(scale * q @ k.transpose(0, 2, 1))
        paid = paid + products / products.sum(-1, keepdims=True) / HEADS
    before = len(vit.before)
    paid = paid[:, 0, before:] if before else paid.mean(1)
    return paid.reshape(-1, *size)


def normed(values, weight, bias):
    off = values - values.mean(-1, keepdims=True)
    return off / np.sqrt((off**2).mean(-1, keepdims=True) + 1e-5) * weight + bias


@pytest.mark.parametrize("kind", VITS)
def test_it_is_the_attention_by_hand(kind):
    """The map is the last layer's attention, converted to nodes, and the model's output does not change."""
    vit = seeded(VITS[kind])
    images = torch.rand(3, 3, 48, 32)
    answer = vit(images)
    saliency = AttentionSaliency(vit, map_size=(9, 7), lowres_size=(48, 32))
    expected = by_hand(vit, images, (6, 4))
    nodes = to_lattice(torch.from_numpy(expected)[:, None], (9, 7))

    assert saliency.patches == (6, 4)
    check_close(saliency(images).exp(), nodes / nodes.sum((2, 3), keepdim=True), 2e-6)
    check_close(vit(images), answer, 1e-5)
    assert expected.max() > 2 * expected.min()  # an even map would show nothing


@pytest.mark.parametrize("kind", ["torch", "qkv"])
def test_the_first_layer_has_another(kind):
    """Another layer can be named, and its map differs."""
    vit = seeded(VITS[kind])
    names = [
        name
        for name, module in vit.named_modules()
        if isinstance(module, nn.MultiheadAttention | QkvAttention)
    ]
    images = torch.rand(2, 3, 32, 32)
    first, last = (AttentionSaliency(vit, layer=name, lowres_size=32)(images).exp() for name in names)

    assert (first - last).abs().max() > 1e-3


def test_a_patch_that_is_attended_to_is_found_where_it_is():
    """The map of attention to a single patch peaks at the patch's centre."""

    class Bright(QkvAttention):
        def forward(self, x):
            self.qkv(torch.cat([torch.ones_like(x[:, :1]), x[:, 1:]], 1))
            return x

    vit = Vit(nn.Sequential(Bright())).requires_grad_(requires_grad=False)
    vit.patch.weight.fill_(0.02)
    vit.layers[0].q_norm = vit.layers[0].k_norm = nn.Identity()
    vit.layers[0].qkv.weight.copy_(torch.eye(WIDTH).repeat(3, 1))
    saliency = AttentionSaliency(vit, map_size=(33, 33), lowres_size=64)
    for row, col in ((0, 7), (3, 5), (6, 1)):
        image = torch.zeros(1, 3, 64, 64)
        image[:, :, 8 * row : 8 * row + 8, 8 * col : 8 * col + 8] = 1
        found = saliency(image).exp()[0, 0]
        top = (found > found.max() - 1e-6).nonzero().double().mean(0) / 32

        if row:  # at an edge the patch's value goes on to it
            assert top.tolist() == pytest.approx([(row + 0.5) / 8, (col + 0.5) / 8], abs=1e-6)
        assert divmod(int(found.argmax()), 33) == pytest.approx([(row + 0.5) * 4, (col + 0.5) * 4], abs=2)


def test_a_zoom_with_it():
    """In a sampler, the model gets a resized image if needed; a frozen model stays in evaluation mode."""
    zoom = SaliencySampler(16, saliency=AttentionSaliency(seeded(VITS["torch"]), lowres_size=32)).train()
    images = torch.rand(2, 3, 90, 120)

    assert torch.equal(zoom(images).images, zoom.eval()(images).images)  # dropout of one half would differ
    assert not zoom.train().saliency.model.training
    assert not zoom(images).images.requires_grad


def test_trained_it_has_gradients():
    """Gradients reach the layer's weights through the attention, and in training the model's dropout is on."""
    vit = seeded(VITS["torch"]).requires_grad_()
    saliency = AttentionSaliency(vit, lowres_size=32)
    zoomed = SaliencySampler(8, saliency=saliency, temperature=0.1).train()(torch.rand(2, 3, 32, 32))
    zoomed.images.square().sum().backward()
    gradient = vit.layers.layers[-1].self_attn.in_proj_weight.grad

    assert saliency.model.training
    assert gradient.isfinite().all()
    assert gradient[: 2 * WIDTH].abs().max() > 0


def test_threads_do_not_mix_it_up():
    """Concurrent calls give the results of single calls, also of pickled and deep copies."""
    saliency = AttentionSaliency(seeded(VITS["qkv"]), lowres_size=32)
    images = torch.rand(24, 1, 3, 32, 32)
    alone = [saliency(each) for each in images]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(saliency, images))

    assert all(torch.equal(one, other) for one, other in zip(alone, together, strict=True))
    for copied in (copy.deepcopy(saliency), pickle.loads(pickle.dumps(saliency))):
        assert torch.equal(copied(images[0]), alone[0])


def test_a_checkpoint_takes_its_weights(tmp_path):
    """A checkpoint restores the weights of a module that the caller makes."""
    zoom = SaliencySampler(16, saliency=AttentionSaliency(seeded(VITS["torch"]), lowres_size=32))
    zoom.save_checkpoint(tmp_path / "zoom.pt")
    other = AttentionSaliency(Vit(encoder()).requires_grad_(requires_grad=False), lowres_size=32)
    again = SaliencySampler.from_checkpoint(tmp_path / "zoom.pt", saliency=other)
    images = torch.rand(1, 3, 40, 40)

    assert torch.equal(again(images).images, zoom(images).images)


class Rotary(nn.Module):
    def __init__(self):
        super().__init__()
        self.attention = QkvAttention()

    def forward(self, x):
        return self.attention(x, rope=x)


class Biased(QkvAttention):
    def __init__(self):
        super().__init__()
        self.relative_position_bias_table = nn.Parameter(torch.zeros(1))


class Uncalled(nn.Module):
    def __init__(self):
        super().__init__()
        self.attention = QkvAttention()

    def forward(self, x):
        return x


@pytest.mark.parametrize(
    ("vit", "options", "message"),
    [
        (
            lambda: Vit(nn.Identity()),
            {},
            "model must have an attention layer, got Vit: ClassActivationSaliency takes convolutional classifiers.",
        ),
        (
            VITS["torch"],
            {"layer": "block"},
            "layer must be the name of a module of Vit, got 'block' – print(model) shows them.",
        ),
        (
            VITS["torch"],
            {"layer": "patch"},
            "layer must be a torch.nn.MultiheadAttention, or have a linear layer qkv and num_heads, got Conv2d 'patch'.",
        ),
        (
            lambda: Vit(Rotary()),
            {},
            "layer must be an attention of tokens alone, got QkvAttention with relative positions or a mask.",
        ),
        (
            lambda: Vit(Biased()),
            {"layer": "layers"},
            "layer must be an attention of tokens alone, got Biased with relative positions or a mask.",
        ),
        (
            lambda: Vit(Uncalled()),
            {},
            "layer must be one that the model calls with 1 images as they are, got 'layers.attention', called not at all.",
        ),
        (VITS["torch"], {"floor": 1.0}, "floor must be in [0, 1), got 1.0."),
        (VITS["torch"], {"map_size": (0, 3)}, "map_size must be at least (1, 1), got (0, 3)."),
        (
            VITS["torch"],
            {"std": (0.2, 0.2, 0.0)},
            "mean and std must be of three channels, std positive, got (0.485, 0.456, 0.406) and (0.2, 0.2, 0.0).",
        ),
        (
            VITS["torch"],
            {"lowres_size": (32, 33)},
            "lowres_size must have an aspect that 17 tokens can tile, got (32, 33) – give the size of the training.",
        ),
    ],
)
def test_what_it_refuses(vit, options, message):
    """Each invalid argument is refused when the module is made."""
    with unhooked(), pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        AttentionSaliency(seeded(vit), **({"lowres_size": 32} | options))
