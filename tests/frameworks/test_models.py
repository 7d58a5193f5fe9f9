"""Saliency from models of timm and torchvision, with random weights, which show shapes, places and gradients as well as trained ones."""

import numpy as np
import pytest
import torch

from foveal.sampler import (
    AttentionSaliency,
    ClassActivationSaliency,
    PriorSaliency,
    SaliencySampler,
    TrunkSaliency,
)

timm, torchvision = (
    pytest.importorskip(name, reason=f"{name} is installed by `make test-all`")
    for name in ("timm", "torchvision")
)
IMAGES = [torch.randint(0, 256, (h, w, 3), dtype=torch.uint8) for h, w in ((90, 120), (200, 70))]
TRUNKS = [
    *(
        f"timm:{name}"
        for name in ("resnet18", "convnext_atto", "vit_tiny_patch16_224", "swin_tiny_patch4_window7_224")
    ),
    *(f"torchvision:{name}" for name in ("resnet18", "mobilenet_v3_small", "vgg11", "densenet121")),
]


def made(name):
    """Return the classifier of that name."""
    library, _, model = name.partition(":")
    return timm.create_model(model) if library == "timm" else torchvision.models.get_model(model)


@pytest.mark.parametrize("name", TRUNKS)
def test_a_trunk_by_name(name, tmp_path):
    """A classifier's file fills the trunk, the head starts at zero, and gradients reach a trunk that is not frozen."""
    torch.manual_seed(0)
    classifier = made(name)
    torch.save(classifier.state_dict(), tmp_path / "weights.pth")
    network = TrunkSaliency(name, weights=tmp_path / "weights.pth", frozen=False)
    zoom = SaliencySampler(16, saliency=PriorSaliency(network), lowres_size=(224, 224))
    small = torch.rand(2, 3, 224, 224)

    assert not network(small).any()
    torch.nn.init.normal_(network.head.weight, std=0.1)
    zoom(IMAGES).images.square().sum().backward()
    assert any(weight.grad is not None and bool(weight.grad.any()) for weight in network.model.parameters())
    zoom.save_checkpoint(tmp_path / "zoom.pt")
    again = SaliencySampler.from_checkpoint(tmp_path / "zoom.pt")
    torch.testing.assert_close(again(IMAGES).saliency, zoom(IMAGES).saliency)


@pytest.mark.parametrize(
    "name", ["timm:swin_tiny_patch4_window7_224", "timm:resnet18", "torchvision:resnet18"]
)
def test_a_trunk_keeps_places(name):
    """If features are active in one corner of the image, the map is active there."""
    torch.manual_seed(0)
    network = TrunkSaliency(name)
    torch.nn.init.normal_(network.head.weight, std=0.1)
    plain = torch.full((1, 3, 224, 224), 0.5)
    other = plain.clone()
    other[:, :, 160:190, 30:60] = torch.rand(3, 30, 30)
    change = (network(other) - network(plain)).detach().abs()[0, 0]
    y, x = np.unravel_index(int(change.argmax()), change.shape)

    assert abs(y / 30 - 175 / 224) < 0.2
    assert abs(x / 30 - 45 / 224) < 0.2


@pytest.mark.parametrize(
    "name",
    [
        "timm:vit_tiny_patch16_224",
        "timm:deit_tiny_patch16_224",
        "timm:vit_small_patch14_dinov2",
        "timm:vit_medium_patch16_reg4_gap_256",
        "timm:vit_base_patch16_siglip_224",
        "torchvision:vit_b_32",
    ],
)
def test_attention(name):
    """The saliency of a frozen transformer is a distribution that differs from image to image."""
    torch.manual_seed(0)
    model = made(name).requires_grad_(False)
    side = 224 if name.startswith("torchvision") else model.default_cfg["input_size"][1]
    saliency = AttentionSaliency(model, lowres_size=side)
    zoom = SaliencySampler(32, saliency=saliency, lowres_size=(side, side), max_zoom=4.0)
    found = zoom(IMAGES)

    assert saliency.patches[0] == saliency.patches[1]
    torch.testing.assert_close(found.saliency.sum(dim=(1, 2, 3)), torch.ones(2))
    assert bool(found.images.isfinite().all())
    assert not torch.equal(found.saliency[0], found.saliency[1])


@pytest.mark.parametrize(
    "name", ["vit_tiny_patch16_224", "vit_medium_patch16_reg4_gap_256", "vit_base_patch16_siglip_224"]
)
def test_it_is_timms_attention(name):
    """The attention that is recorded equals the one that the model computes without fusing."""
    torch.manual_seed(0)
    model = timm.create_model(name).requires_grad_(False)
    side = model.default_cfg["input_size"][1]
    saliency = AttentionSaliency(model, lowres_size=side)
    attention = model.get_submodule(saliency.layer)
    attention.fused_attn = False
    seen = []
    attention.attn_drop.register_forward_pre_hook(lambda _layer, given: seen.append(given[0]))
    ours = saliency.look(torch.rand(2, 3, side, side), saliency.layer)[1]

    torch.testing.assert_close(ours, seen[0])


@pytest.mark.parametrize(
    ("name", "layer"),
    [
        ("timm:resnet18", "layer4"),
        ("timm:resnet50", "layer4"),
        ("timm:efficientnet_b0", "bn2"),
        ("torchvision:resnet18", "layer4"),
    ],
)
def test_class_activation(name, layer):
    """The map is the evidence for the predicted class: its mean plus the bias of the classifier is the class's score."""
    torch.manual_seed(0)
    model = made(name).requires_grad_(False)
    saliency = ClassActivationSaliency(model, layer=layer, lowres_size=225)
    found = SaliencySampler(32, saliency=saliency, lowres_size=(225, 225))(IMAGES)
    seen = []
    hook = model.get_submodule(layer).register_forward_hook(lambda *given: seen.append(given[2]))
    scores = model(torch.rand(1, 3, 225, 225))
    hook.remove()
    head = model.get_submodule(saliency.head)
    evidence = torch.einsum("bkhw,ck->bchw", seen[0], head.weight).mean(dim=(2, 3)) + head.bias

    torch.testing.assert_close(found.saliency.sum(dim=(1, 2, 3)), torch.ones(2))
    torch.testing.assert_close(evidence, scores, atol=1e-4, rtol=1e-4)
