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
    ],
)
def test_what_does_something_is_taken(tmp_path, monkeypatch, arguments):
    """With what they are about, the same options are taken: only then are the shards looked for."""
    monkeypatch.chdir(tmp_path)

    assert command_line.run(*arguments).exit_code == 1
