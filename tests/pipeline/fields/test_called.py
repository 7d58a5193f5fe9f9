"""The names of arguments in errors, where a caller has other names."""

import re

import pytest

from foveal.pipeline.fields import called, guide_of, map_guide_of
from foveal.sampler import BoxSaliency, MapSaliency, SaliencySampler, ZoomNeeds


def test_an_argument_has_the_name_that_the_caller_gave_it():
    """An error about an argument gets the caller's name, and others stay as they are."""
    for words, said in [
        ("source must be a, got 1.", "boxes must be a, got 1."),
        ("format must be a, got 1.", "format must be a, got 1."),
        ("source is gone.", "source is gone."),
    ]:
        with pytest.raises(ValueError, match=f"^{re.escape(said)}$"), called(source="boxes"):
            raise ValueError(words)


def test_what_a_zoom_needs_is_named_as_the_zoom_has_it():
    """A member that a saliency names, and that cannot hold its boxes or map, is an error with the name of its argument."""
    boxes = SaliencySampler(8, saliency=BoxSaliency("foo:"))
    with pytest.raises(ValueError, match=r"^boxes_from must be a json member with a path to the boxes in it"):
        guide_of(ZoomNeeds.of(boxes))
    maps = SaliencySampler(8, saliency=MapSaliency("foo"))
    with pytest.raises(ValueError, match=r"^maps_from must be an npy, json or image member"):
        map_guide_of(ZoomNeeds.of(maps))
