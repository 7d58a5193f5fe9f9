"""Options that name labels."""

import pytest

from foveal.shards import ShardWriter
from tests.pipeline.making import encode, picture
from tests.tools import command_line

OUT = ("--out", "x")
A_BOX = "must be a json member with a path to the boxes in it, such as 'json:boxes' or "
A_MAP = "must be an npy, json or image member, such as 'attention.npy', or a path in a json member"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["view", "--boxes", "foo:"], f"boxes {A_BOX}"),
        (["explore", "--boxes", "foo:"], f"boxes {A_BOX}"),
        (["train", *OUT, "--boxes", "foo:"], f"boxes {A_BOX}"),
        (["zoom", *OUT, "--boxes", "json:boxes", "--boxes", "foo:"], f"boxes {A_BOX}"),
        (
            ["zoom", *OUT, "--boxes", "json:boxes", "--box-label", "a", "--box-label", "a"],
            "box_label must be names or numbers of columns, each once, got ('a', 'a').",
        ),
        (
            ["zoom", *OUT, "--points", "foo:"],
            "points must be a json member with a path to the points in it, such as 'json:points' or ",
        ),
        (
            ["zoom", *OUT, "--mask", "json:"],
            "mask must be a json member with a path to shapes, such as 'json:annotations[].segmentation', or ",
        ),
        (["view", "--saliency-member", "foo"], f"saliency_member {A_MAP}"),
        (["explore", "--saliency-member", "foo"], f"saliency_member {A_MAP}"),
        (["train", *OUT, "--saliency-member", "foo"], f"saliency_member {A_MAP}"),
        (["zoom", *OUT, "--saliency-member", "foo"], f"saliency_member {A_MAP}"),
    ],
)
def test_an_error_names_the_option(words, said, tmp_path, monkeypatch):
    """What an option names and no field can read is refused under the name of the option."""
    monkeypatch.chdir(tmp_path)
    with ShardWriter(tmp_path / "a.tar") as writer:
        writer.write({"__key__": "0", "jpg": encode(picture(0, 40, 50)), "cls": 0})
    verb, *options = words
    run = command_line.run(verb, "a.tar", *options)

    assert str(run.exception).startswith(said)
