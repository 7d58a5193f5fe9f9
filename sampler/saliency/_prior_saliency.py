"""Saliency that needs no training, and a network that learns what to add to it."""

import inspect
from collections.abc import Mapping
from typing import Any

from jaxtyping import Float
from torch import Tensor, nn

from foveal._choices import PRIOR_GAIN, PRIOR_POWER
from foveal.sampler.saliency._saliency_needs import SaliencyNeeds
from foveal.sampler.saliency._saliency_net import SaliencyNet
from foveal.sampler.saliency._spectral_saliency import SpectralSaliency

# The default for which weights are that were saved before the gain was saved with them.
_GAIN_BEFORE = 4.0


class PriorSaliency(nn.Module):
    """Logits of a prior plus those of a network: ``gain * (prior(small) + network(small))``.

    A classifier cannot read details that are not enlarged yet, so its gradient does not tell the saliency network where
    they are. Therefore the zoom starts with a saliency that needs no training: the network's last layer starts at zero,
    the first map is the prior's, and training changes it from there.

    Args:
        network: A module from (batch, 3, height, width) to logits (batch, 1, rows, cols). ``SaliencyNet(zero_init=True)``
            if None. Give a network of your own a last layer of zeros.
        prior: A saliency module of the same rows and cols, such as :class:`SpectralSaliency` (if None, of
            power 6), :class:`FixedSaliency`, or one with an input for each image: :class:`BoxSaliency`,
            :class:`MapSaliency`. Its parameters, if it has some, are trained as well.
        gain: Multiplies the sum, like the reciprocal of a sampler's ``temperature``.

    Raises:
        ValueError: ``gain`` is not positive.

    Example:
        >>> zoom = SaliencySampler(224, saliency=PriorSaliency(prior=BoxSaliency("json:boxes"), gain=1.0))
    """

    boxes_from: str | None
    maps_from: str | None
    map_size: tuple[int, int]

    def __init__(
        self, network: nn.Module | None = None, prior: nn.Module | None = None, *, gain: float = PRIOR_GAIN
    ) -> None:
        super().__init__()
        if not gain > 0:
            raise ValueError(f"gain must be positive, got {gain!r}.")
        self.network = SaliencyNet(zero_init=True) if network is None else network
        self.prior = SpectralSaliency(power=PRIOR_POWER) if prior is None else prior
        self.gain = float(gain)
        self.register_state_dict_post_hook(_note_gain)  # type: ignore[no-untyped-call]
        needs = SaliencyNeeds.of(self.prior)
        # The existence of these attributes says that boxes or maps are taken.
        if needs.takes_boxes:
            self.boxes_from = needs.boxes_from
        if needs.takes_maps:
            self.maps_from, self.map_size = needs.maps_from, needs.map_size

    def forward(
        self, small: Float[Tensor, "batch 3 height width"], *told: Any, **named: Any
    ) -> Float[Tensor, "batch 1 rows cols"]:
        """Return logits, one per cell of the map.

        Args:
            small: Low-resolution images in [0, 1].
            *told: Boxes, for a prior that takes them.
            **named: Maps, likewise; and a sampler's ``condition``, for the parts whose ``forward`` has such a keyword.

        Raises:
            ValueError: The maps of prior and network differ in size.
        """
        for_prior, for_network = self._shared(named)
        known: Tensor = self.prior(small, *told, **for_prior)
        learned: Tensor = self.network(small, **for_network)
        if known.shape != learned.shape:
            raise ValueError(
                f"network must have the map size of prior, {tuple(known.shape[2:])!r}, got {tuple(learned.shape[2:])!r}."
            )
        return self.gain * (known + learned)

    def _shared(self, named: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the keywords of the prior and those of the network."""
        if "condition" not in named:
            return named, {}
        condition = {"condition": named["condition"]}
        rest = {name: value for name, value in named.items() if name != "condition"}
        for_prior = condition if _takes_condition(self.prior) else {}
        for_network = condition if _takes_condition(self.network) or not for_prior else {}
        return {**rest, **for_prior}, for_network

    def _load_from_state_dict(
        self, state_dict: Mapping[str, Any], prefix: str, local_metadata: Mapping[str, Any], *others: Any
    ) -> None:
        if "version" in local_metadata:
            unsaved = _GAIN_BEFORE if self.gain == PRIOR_GAIN else self.gain
            self.gain = local_metadata.get("gain", unsaved)
        super()._load_from_state_dict(state_dict, prefix, local_metadata, *others)

    def extra_repr(self) -> str:
        """Say what is not a submodule."""
        return f"gain={self.gain!r}"


def _takes_condition(part: nn.Module) -> bool:
    return "condition" in inspect.signature(part.forward).parameters


def _note_gain(module: PriorSaliency, _state_dict: Any, _prefix: str, local_metadata: dict[str, Any]) -> None:
    """Write the gain beside the weights of what was trained with it: they are wrong with another."""
    local_metadata["gain"] = module.gain
