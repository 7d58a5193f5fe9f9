"""Options that would do nothing beside the others."""

import pytest

from tests.tools import command_line

ALONE = {
    "--quarantine": "q",
    "--members": "image",
    "--image": "tif",
    "--max-pixels": "9",
    "--window": "0:9",
    "--bands": "0,1,2",
    "--color": "srgb",
    "--ray": "local",
}


@pytest.mark.parametrize("option", ALONE)
def test_a_comparison_decodes_nothing(option):
    """What says how images are decoded, and where bad ones are listed, is refused beside --against."""
    run = command_line.run("verify", "zoomed", "--against", "a.tar", option, ALONE[option], width=200)

    assert run.exit_code == 2
    said = f"Invalid value for '{option}': must be left out with --against, got {ALONE[option]!r} – leave one of the two out."
    assert said in run.output


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ["demo", "a.tar", "--scenes", "3"],
            "'--scenes': must be left out with SHARDS, got '3' – leave one of the two out.",
        ),
        (
            ["view", "a.tar", "--box-format", "xywh"],
            "'--box-format': must be left out without --boxes, got 'xywh' – give --boxes, too, or leave it out.",
        ),
        (
            ["explore", "a.tar", "--box-frame", "pixel"],
            "'--box-frame': must be left out without --boxes, got 'pixel' – give --boxes, too, or leave it out.",
        ),
        (
            ["zoom", "a.tar", "--out", "x", "--box-format", "xywh", "--points", "json:p"],
            "'--box-format': must be left out without --boxes, got 'xywh' – give --boxes, too, or leave it out.",
        ),
        (
            ["zoom", "a.tar", "--out", "x", "--box-label", "names", "--box-label", "ids"],
            "'--box-label': must be left out without --boxes, got 'names, ids' – give --boxes, too, or leave it out.",
        ),
        (
            ["zoom", "a.tar", "--out", "x", "--point-format", "xy"],
            "'--point-format': must be left out without --points, got 'xy' – give --points, too, or leave it out.",
        ),
        (
            ["zoom", "a.tar", "--out", "x", "--point-frame", "pixel"],
            "'--point-frame': must be left out without --points, got 'pixel' – give --points, too, or leave it out.",
        ),
        (
            ["doctor", "--warm", "--images", "3"],
            "'--images': must be left out without SHARDS, got '3' – give SHARDS, too, or leave it out.",
        ),
        (
            ["pack", "photos", "--out", "x", "--no-classes", "--classes-from", "."],
            "'--classes-from': must be left out with --no-classes, got '.' – leave one of the two out.",
        ),
        (
            ["zoom", "a.tar", "--out", "x", "--overwrite", "--retry-bad"],
            "'--retry-bad': must be left out with --overwrite – leave one of the two out.",
        ),
        (
            ["view", "a.tar", "--saliency", "spectral", "--saliency-member", "heat.png"],
            "'--saliency': must be left out with --saliency-member, got 'spectral' – leave one of the two out.",
        ),
        (
            ["zoom", "a.tar", "--out", "x", "--saliency", "map", "--saliency-member", "heat.png"],
            "'--saliency': must be left out with --saliency-member, got 'map' – leave one of the two out.",
        ),
        (
            ["train", "a.tar", "--out", "x", "--teach-epochs", "8"],
            "'--teach-epochs': must be left out without --boxes, got '8' – give --boxes, too, or leave it out.",
        ),
        (
            ["train", "a.tar", "--out", "x", "--prior", "spectral", "--boxes", "json:boxes"],
            "'--prior': must be left out with --boxes, got 'spectral' – leave one of the two out.",
        ),
        (
            ["train", "a.tar", "--out", "x", "--prior", "spectral", "--saliency", "zoom.pt"],
            "'--prior': must be left out with --saliency, got 'spectral' – leave one of the two out.",
        ),
        (
            ["train", "a.tar", "--out", "x", "--trunk-weights", "r.pth"],
            "'--trunk-weights': must be left out without --trunk, got 'r.pth' – give --trunk, too, or leave it out.",
        ),
        (
            ["train", "a.tar", "--val", "file:///b.tar", "--out", "x", "--cache-size", "1GB"],
            "'--cache-size': must be left out with local SHARDS and --val, got '1GB' – it is about what is on other machines.",
        ),
        *(
            (
                [*words, "--storage-options", "{}"],
                f"'--storage-options': must be left out with local {places}, got '{{}}' – it is about what is on other machines.",
            )
            for words, places in [
                (["doctor", "a.tar"], "SHARDS"),
                (["explore", "a.tar"], "SHARDS"),
                (["train", "a.tar", "--out", "x"], "SHARDS"),
                (["verify", "a.tar"], "SHARDS"),
                (["verify", "a", "--against", "b.tar"], "SHARDS and --against"),
                (["view", "a.tar"], "SHARDS"),
                (["zoom", "a.tar", "--out", "x"], "SHARDS and --out"),
            ]
        ),
    ],
)
def test_what_would_do_nothing(tmp_path, monkeypatch, arguments, said):
    """An option that says more about something that is not there, or takes the place of what is there, is refused at once."""
    monkeypatch.chdir(tmp_path)
    run = command_line.run(*arguments, width=200)

    assert run.exit_code == 2
    assert f"Invalid value for {said}" in run.output
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "arguments",
    [
        ["view", "none.tar", "--boxes", "json:boxes", "--box-format", "xywh"],
        ["zoom", "none.tar", "--out", "x", "--points", "json:p", "--point-format", "xy"],
        ["demo", "none.tar"],
        ["verify", "none", "--against", "none.tar"],
        ["verify", "none.tar", "--members", "image"],
        ["verify", "none", "--against", "az://a.tar", "--storage-options", "{}"],
        ["train", "none.tar", "--val", "az://b.tar", "--out", "x", "--cache-size", "1GB"],
        ["zoom", "none.tar", "--out", "az://x", "--storage-options", "{}"],
        ["zoom", "none.tar", "--out", "x", "--retry-bad"],
    ],
)
def test_what_does_something_is_taken(tmp_path, monkeypatch, arguments):
    """With what they are about, the same options are taken: only then are the shards looked for."""
    monkeypatch.chdir(tmp_path)

    assert command_line.run(*arguments).exit_code == 1
