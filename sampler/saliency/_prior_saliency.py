"""Saliency that needs no training, and a network that learns what to add to it."""

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from foveal._choices import PRIOR_GAIN
from foveal.sampler.saliency._is_shard import is_shard
from foveal.sampler.saliency._learned_spectral_saliency import LearnedSpectralSaliency
from foveal.sampler.saliency._saliency_needs import SaliencyNeeds
from foveal.sampler.saliency._saliency_unet import SaliencyUNet

# The default for which weights are that were saved before the gain was saved with them.
_GAIN_BEFORE = 4.0
# (rows, cols) of the map of a part that is not given, beside one that says no size.
_MAP_SIZE = (31, 31)


class PriorSaliency(nn.Module):
    """Logits of a prior plus those of a network: ``gain * (prior(small) + network(small))``.

    A classifier cannot read details that are not enlarged yet, so its gradient does not tell the saliency network where
    they are. Therefore the zoom starts with a saliency that needs no training: the network's last layer starts at zero,
    the first map is the prior's, and training changes it from there.

    Args:
        network: A module from (batch, 3, height, width) to logits (batch, 1, rows, cols). A :class:`SaliencyUNet` of
            the prior's map size if None.
            Give a network of your own a last layer of zeros. With :class:`MapChannelSaliency` it sees a map
            that is given with each image.
        prior: A saliency module of the same rows and cols, such as :class:`SpectralSaliency`, :class:`FixedSaliency`, or
            one with an input for each image: :class:`BoxSaliency`, :class:`MapSaliency`. Its parameters, if it has some,
            are trained as well. A :class:`LearnedSpectralSaliency` of the network's map size if None.
        gain: Multiplies the sum, like the reciprocal of a sampler's ``temperature``. With 0 the zoom is a uniform resize, as
            :class:`ZoomTrial` leaves a zoom that does not help.

    Attributes:
        gain: As given, or 0 for a zoom that was taken away; it can be set.
        taken_away: A buffer: not 0 if the ``gain`` is 0. So this goes wherever weights go. The images are resized evenly by whichever of the two
            says so: an average over steps (``torch.optim.swa_utils.AveragedModel``) changes the buffer alone.

    Raises:
        ValueError: ``gain`` is negative; or both parts take boxes, or maps, but
            from different fields.

    Example:
        >>> zoom = SaliencySampler(224, saliency=PriorSaliency(prior=BoxSaliency("json:boxes"), gain=1.0))
    """

    boxes_from: str | None
    maps_from: str | None
    map_size: tuple[int, int]
    taken_away: Tensor

    def __init__(
        self,
        network: nn.Module | None = None,
        prior: nn.Module | None = None,
        *,
        gain: float = PRIOR_GAIN,
    ) -> None:
        super().__init__()
        if not gain >= 0:
            raise ValueError(f"gain must not be negative, got {gain!r}.")
        self.network = SaliencyUNet(_map_size_of(prior)) if network is None else network
        self.prior = LearnedSpectralSaliency(_map_size_of(network)) if prior is None else prior
        self.register_buffer("taken_away", torch.zeros(()))
        self._gain = float(gain)
        self.gain = gain
        self.register_state_dict_post_hook(_note_gain)  # type: ignore[no-untyped-call]
        needs = [SaliencyNeeds.of(part) for part in (self.prior, self.network)]
        # The existence of these attributes says that boxes or maps are taken.
        if any(each.takes_boxes for each in needs):
            self.boxes_from = _one_field("boxes", [each.boxes_from for each in needs if each.takes_boxes])
        if takers := [each for each in needs if each.takes_maps]:
            self.maps_from = _one_field("maps", [each.maps_from for each in takers])
            rows, cols = (max(each.map_size[axis] for each in takers) for axis in (0, 1))
            self.map_size = (rows, cols)

    @property
    def gain(self) -> float:
        """What multiplies the sum; 0 if the zoom was taken away."""
        away = self.taken_away
        return 0.0 if not away.is_meta and bool(away != 0) else known_gain(self)

    @gain.setter
    def gain(self, gain: float) -> None:
        self._is_away = gain == 0  # known here too: see known_gain
        self._gain = self._gain if self._is_away else float(gain)
        # A new tensor: the old one may stand in a state dict.
        self.taken_away = torch.full_like(self.taken_away, float(self._is_away))

    def forward(
        self,
        small: Float[Tensor, "batch 3 height width"],
        boxes: Sequence[Float[Tensor, "_count 4"]] | None = None,
        *,
        maps: Float[Tensor, "batch 1 _rows _cols"] | None = None,
        **condition: Any,
    ) -> Float[Tensor, "batch 1 rows cols"]:
        """Return logits, one per cell of the map.

        Args:
            small: Low-resolution images in [0, 1].
            boxes: For the parts that take them, as :class:`BoxSaliency` takes them.
            maps: For the parts that take them, as :class:`MapSaliency` takes them.
            **condition: A sampler's ``condition``, for the parts whose ``forward`` has such a keyword.

        Raises:
            ValueError: The maps of prior and network differ in size.
        """
        gain = known_gain(self)
        if gain == 0 and (map_size := self._known_map_size()) is not None:
            return self._even(small, map_size)
        for_prior, for_network = self._shared(condition)
        known = _logits(self.prior, small, boxes, maps, for_prior)
        learned = _logits(self.network, small, boxes, maps, for_network)
        if known.shape != learned.shape:
            raise ValueError(
                f"network must have the map size of prior, {tuple(known.shape[2:])!r}, got {tuple(learned.shape[2:])!r} – "
                "give both the same map_size."
            )
        if gain == 0:  # where a logit is minus infinity, the product would be NaN
            return self._even(small, (known.shape[2], known.shape[3]))
        return (gain * (known + learned)).masked_fill(self.taken_away != 0, 0.0)

    def _shared(self, condition: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the keyword for the prior and that for the network; a condition that neither takes is the network's error."""
        if not condition:  # looking at signatures takes as long as a layer
            return {}, {}
        for_prior = condition if _takes_condition(self.prior) else {}
        for_network = condition if _takes_condition(self.network) or not for_prior else {}
        return for_prior, for_network

    def _known_map_size(self) -> tuple[int, int] | None:
        sizes = (getattr(part, "map_size", None) for part in (self.prior, self.network))
        # (1, 1) is said by a MapChannelSaliency whose network says nothing.
        return next((size for size in sizes if size not in (None, (1, 1))), None)

    def _even(
        self, small: Float[Tensor, "batch 3 _height _width"], map_size: tuple[int, int]
    ) -> Float[Tensor, "batch 1 rows cols"]:
        """Return zeros without looking at the images. Each weight has a gradient, of zero: DistributedDataParallel waits for it.

        FSDP does not, and has not gathered the weights of a part that is not called.
        """
        whole = (weight for weight in self.parameters() if not is_shard(weight))
        nothing = sum((0 * weight.sum() for weight in whole), small.new_zeros(()))
        return small.new_zeros(small.shape[0], 1, *map_size) + nothing

    def _load_from_state_dict(
        self, state_dict: dict[str, Any], prefix: str, local_metadata: Mapping[str, Any], *others: Any
    ) -> None:
        if "version" in local_metadata:
            unsaved = _GAIN_BEFORE if self._gain == PRIOR_GAIN else self._gain
            self.gain = local_metadata.get("gain", unsaved)
        name = f"{prefix}taken_away"
        if name not in state_dict:  # of an earlier version
            state_dict[name] = torch.tensor(float(self._is_away))
        self._is_away = bool(state_dict[name].any())
        super()._load_from_state_dict(state_dict, prefix, local_metadata, *others)

    def extra_repr(self) -> str:
        """Say what is not a submodule."""
        return f"gain={self.gain!r}"


def known_gain(saliency: PriorSaliency) -> float:
    """Return the gain that was set or loaded, without waiting for the device that has the buffer, which an average over steps changes."""
    return 0.0 if saliency._is_away else saliency._gain  # noqa: SLF001 - of a class of this file


def _logits(
    part: nn.Module,
    small: Float[Tensor, "batch 3 height width"],
    boxes: Sequence[Float[Tensor, "_count 4"]] | None,
    maps: Float[Tensor, "batch 1 _rows _cols"] | None,
    condition: dict[str, Any],
) -> Float[Tensor, "batch 1 rows cols"]:
    """Call a part with those of the inputs that it takes."""
    needs = SaliencyNeeds.of(part)
    logits: Tensor = part(
        small,
        *([boxes] if needs.takes_boxes else []),
        **({"maps": maps} if needs.takes_maps else {}),
        **condition,
    )
    return logits


def _one_field(name: str, fields: list[str | None]) -> str | None:
    """Return the field that all parts take, since a sample has one of each kind for its zoom."""
    if len(set(fields)) > 1:
        raise ValueError(f"prior and network must take {name} from one field, got {fields!r}.")
    return fields[0]


def _map_size_of(part: nn.Module | None) -> tuple[int, int]:
    """Return the map size for the part beside this one; what says none, or (1, 1) as long as it has no network, has the usual."""
    size = getattr(part, "map_size", None)
    return _MAP_SIZE if size in (None, (1, 1)) else size


def _takes_condition(part: nn.Module) -> bool:
    return "condition" in inspect.signature(part.forward).parameters


def _note_gain(module: PriorSaliency, _state_dict: Any, _prefix: str, local_metadata: dict[str, Any]) -> None:
    """Write the gain beside the weights of what was trained with it: they are wrong with another."""
    local_metadata["gain"] = module._gain  # noqa: SLF001 - also of a zoom that was taken away, which may be given back
