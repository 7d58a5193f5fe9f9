"""Which files of a folder make a sample, by their names."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foveal.tools.packing._groups import grouped, images_of


@pytest.mark.parametrize(
    "names",
    [
        ["0.jpg", "0.5.jpg", "1.jpg", "1.5.jpg"],
        ["photo.jpg", "photo.1.jpg", "photo.2.jpg"],
        ["photo.jpeg", "photo.1.JPG"],
        ["2024.tif", "2024.01.02.tiff", "2024.01.tif"],
        ["a.left.jpg", "a.right.jpg"],
    ],
)
def test_images_of_their_own(names):
    """Images whose names differ by numbers are samples, and so are views without a common image."""
    assert sorted(map(len, grouped(names).values())) == [1] * len(names)


@pytest.mark.parametrize(
    ("names", "stems"),
    [
        (["0001.jpg", "0001.json", "0001.mask.png"], ["0001"]),
        (["0001.png", "0001.mask.png", "0001.mask.json"], ["0001"]),
        (["0001.jpg", "0001.1.png", "0001.2.png"], ["0001"]),
        (["left.jpg", "left.right.jpg"], ["left"]),
        (["a.jpg", "a.v2.jpg", "a.jpg.json"], ["a"]),
        (["0.jpg", "0.json", "0.5.jpg", "0.5.json", "0.5.mask.png"], ["0", "0.5"]),
        (["0.jpg", "0.5.jpg", "0.5.png", "0.txt"], ["0", "0.5"]),
        (["0.jpg", "0.txt."], ["0"]),
    ],
)
def test_files_that_belong_to_an_image(names, stems):
    """Words, other formats and other files belong to the image with the longest name that they begin with."""
    groups = grouped(names)

    assert sorted(groups) == stems
    for stem, group in groups.items():
        others = [other for other in stems if len(other) > len(stem)]
        assert group == [n for n in names if n.startswith(f"{stem}.") and not n.startswith(tuple(others))]


PARTS = st.lists(st.sampled_from(["0", "1", "5", "mask", "v2", "left"]), min_size=1, max_size=4)
NAMES = st.builds(
    lambda parts, end: ".".join([*parts, end]), PARTS, st.sampled_from(["jpg", "jpeg", "png", "json"])
)


@given(st.lists(NAMES, unique=True, max_size=12))
def test_no_file_is_lost(names):
    """Each file is in one group, whose name it begins with; each image is in the group of an image."""
    groups = grouped(names)

    assert sorted(name for group in groups.values() for name in group) == sorted(names)
    for stem, group in groups.items():
        assert all(name.startswith(f"{stem}.") for name in group)
        members = dict.fromkeys(name[len(stem) + 1 :] for name in group)
        assert not images_of(members) or {"jpg", "jpeg", "png"} & set(members)
