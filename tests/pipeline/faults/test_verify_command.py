"""Messages about bad samples name the command that finds them, or none."""

import shlex
import warnings

import pytest

from foveal.pipeline import BadSample, Boxes, Mask, ZoomLoader
from foveal.pipeline.faults import Quarantine, TooManyBadSamplesError, verify_command
from foveal.pipeline.fields import parse_fields
from foveal.sampler import UniformSampler
from tests.pipeline.making import encode, picture
from tests.tools import command_line

BOXES, MASK = Boxes("json:boxes"), Mask("mask.png;mask.webp")
ALL = parse_fields(("image", "cls", BOXES, MASK, "txt;text")).asked


def bad(field, kind="missing_member"):
    name = next((name for name, members in ALL.items() if members == field), field)
    return BadSample("a.tar", "0", "reason", kind, name)


@pytest.mark.parametrize(
    ("samples", "command"),
    [
        ([], "foveal verify"),
        ([bad("jpg;jpeg;png;webp", "corrupt"), bad("", "unreadable_member")], "foveal verify"),
        ([bad("cls", "bad_label")], "foveal verify --members image,cls"),
        (
            [bad("cls"), bad("jpg;jpeg;png;webp"), bad("cls", "bad_label")],
            "foveal verify --members image,cls",
        ),
        ([bad("txt;text"), bad("cls")], "foveal verify --members 'image,txt;text,cls'"),
        ([bad("json")], "foveal verify --members image,json"),
        (
            [bad("mask.png;mask.webp", "unreadable_member")],
            "foveal verify --members 'image,mask.png;mask.webp'",
        ),
        ([bad("cls"), bad("json", "bad_label")], None),
        ([bad("mask.png;mask.webp", "too_large")], None),
        ([bad("of another loader")], None),
    ],
)
def test_the_command(samples, command):
    """It names the members that are bad; none is named if how a label is warped decides."""
    assert verify_command(samples, ALL) == command


def test_another_image():
    """An image under another name is named, too."""
    asked = parse_fields(("tif;tiff", "cls")).asked
    assert verify_command([], asked) == "foveal verify --image 'tif;tiff'"


@pytest.mark.parametrize(
    "label", [{"cls": b"x"}, {"cls": None}, {"cls": b"9" * 30}, {"mask.png": None}, {"jpg": b"no image"}]
)
def test_the_command_finds_what_it_is_named_for(write_shard, tmp_path, monkeypatch, label):
    """What a loader advises is run as it stands, and lists the samples that the loader found."""
    monkeypatch.chdir(tmp_path)
    mask = encode(picture(0, 20, 30)[..., 0], "PNG")
    samples = [{"jpg": encode(picture(k, 20, 30)), "cls": k, "mask.png": mask} for k in range(9)]
    samples[3].update(label)
    url = write_shard(
        [
            {"__key__": f"{k}", **{n: v for n, v in each.items() if v is not None}}
            for k, each in enumerate(samples)
        ]
    )
    fields = ("image", "cls", Mask("mask.png"))
    with (
        ZoomLoader(url, UniformSampler(8), batch_size=9, fields=fields, max_bad_fraction=0.0) as loader,
        pytest.raises(TooManyBadSamplesError) as caught,
    ):
        list(loader)
    command = (
        str(caught.value).partition(" – run `")[2].partition("` on the shards, or raise max_bad_fraction.")[0]
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = command_line.run(*shlex.split(command)[1:], url)

    assert command.startswith("foveal verify")
    assert found.exit_code == 1
    assert [bad.key for bad in Quarantine("quarantine.jsonl").read()] == ["3"]
