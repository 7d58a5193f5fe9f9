"""The paper's own saliency network: the first three stages of ResNet-18 (He et al. 2016) and a 1x1 convolution."""

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import interpolate, max_pool2d, relu

from foveal.sampler.frames import Frame, check_channels, rows_and_cols
from foveal.sampler.saliency._framed_map import FramedMap, at_corners, in_multiples
from foveal.sampler.saliency._residual import BasicBlock

# The image's sides must be multiples of this, so that the strides end on the edges.
_STRIDES = 16


class ResNet18Saliency(FramedMap):
    """Saliency logits from the trunk of ResNet-18, conv1 to layer3, as published (Recasens et al. 2018).

    Give it (batch, 3, height, width) in [0, 1]; it normalises by ImageNet's mean and standard deviation itself. Made
    for a 224 x 224 copy (``lowres_size=(224, 224)``), where the map is found on 15 x 15 and resized. Its BatchNorm
    mixes the samples of a batch in training; with small batches keep it in ``eval()``.

    The names in its state_dict are torchvision's, ``head.weight`` and ``head.bias`` apart, so that pretrained weights
    load:

        >>> net = ResNet18Saliency()
        >>> net.load_torchvision(torch.load("resnet18-f37072fd.pth", weights_only=True))

    Args:
        map_size: (rows, cols) of the map, or one number for both.
        zero_init: Whether the head starts at zero, so that every logit is zero before training: the start for a network
            whose logits are added to a prior (:class:`PriorSaliency`).
        frame: ``"nodes"``: the trunk gets the corners of the copy's pixels (:func:`at_corners`), so that its strides end
            on the image's edges, and its features are read at their true positions. ``"cells"`` is the published code,
            which resizes the map from the 14 x 14 cells of the trunk, although these lie 7.5 of 224 pixels to the upper
            left of the assumed centres.
    """

    _mean: Tensor
    _std: Tensor

    def __init__(
        self, map_size: int | tuple[int, int] = (31, 31), *, zero_init: bool = False, frame: Frame = "nodes"
    ) -> None:
        super().__init__(frame)
        self.map_size = rows_and_cols(map_size)
        self.conv1 = nn.Conv2d(3, 64, kernel_size=7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.layer1 = nn.Sequential(BasicBlock(64, 64, 1), BasicBlock(64, 64, 1))
        self.layer2 = nn.Sequential(BasicBlock(64, 128, 2), BasicBlock(128, 128, 1))
        self.layer3 = nn.Sequential(BasicBlock(128, 256, 2), BasicBlock(256, 256, 1))
        self.head = nn.Conv2d(256, 1, kernel_size=1)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        # Training starts near a uniform map, or exactly at the prior; a softmax follows, so a bias would change nothing.
        nn.init.normal_(self.head.weight, std=0.0 if zero_init else 1e-3)
        if zero_init and self.head.bias is not None:
            nn.init.zeros_(self.head.bias)
        self.register_buffer("_mean", torch.tensor([0.485, 0.456, 0.406])[:, None, None], persistent=False)
        self.register_buffer("_std", torch.tensor([0.229, 0.224, 0.225])[:, None, None], persistent=False)

    def forward(self, small: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch 1 rows cols"]:
        """Return logits, one per cell of the map."""
        check_channels(small, 3, type(self).__name__)
        on_nodes = self.frame == "nodes"
        seen = at_corners(in_multiples(small, _STRIDES)) if on_nodes else small
        features = relu(self.bn1(self.conv1((seen - self._mean) / self._std)))
        features = max_pool2d(features, kernel_size=3, stride=2, padding=1)
        features = self.layer3(self.layer2(self.layer1(features)))
        logits: Tensor = self.head(features)
        return interpolate(logits, self.map_size, mode="bilinear", align_corners=on_nodes)

    def load_published(self, state_dict: Mapping[str, Tensor]) -> None:
        """Load the weights of a checkpoint of the paper's code, and set the frame of that code, ``"cells"``.

        The weights of the task network, of unused layers and of the Gaussian, which that code never trains, are left out.

        Args:
            state_dict: That of the whole model, with names beginning with ``localization.`` and ``conv_last.``, preceded
                by ``module.`` if it was saved from a parallel module.

        Raises:
            RuntimeError: A weight is missing or has another shape.
        """
        plain = {name.removeprefix("module."): value for name, value in state_dict.items()}
        trunk = {
            name.removeprefix("localization."): value
            for name, value in plain.items()
            if name.startswith("localization.")
        }
        head = {
            name.replace("conv_last.", "head."): value
            for name, value in plain.items()
            if name.startswith("conv_last.")
        }
        kept = {name: value for name, value in trunk.items() if not name.startswith(("layer4.", "fc."))}
        self.frame = "cells"
        self.load_state_dict({**kept, **head})

    def load_torchvision(self, state_dict: Mapping[str, Tensor]) -> None:
        """Load the trunk's weights from torchvision's ResNet-18; its layer4 and fc are left out, and the head is kept.

        Raises:
            RuntimeError: A weight of the trunk is missing or has another shape.
        """
        trunk = {name: value for name, value in state_dict.items() if not name.startswith(("layer4.", "fc."))}
        head = {f"head.{name}": value for name, value in self.head.state_dict().items()}
        self.load_state_dict({**trunk, **head})
