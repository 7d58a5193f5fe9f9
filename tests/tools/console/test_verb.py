"""What all verbs of the command line have in common."""

import pytest

from tests.tools import command_line


@pytest.mark.parametrize(
    "arguments",
    [
        ["zoom", "a.tar", "--out", ""],
        ["zoom", "a.tar", "--out="],
        ["pack", "photos", "--out", "", "--overwrite"],
        ["train", "a.tar", "--out", ""],
        ["demo", "none.tar", "--out", ""],
        ["view", "a.tar", "--out", ""],
        ["bench", "report", "a.json", "--out", ""],
    ],
)
def test_an_empty_out_is_refused(tmp_path, monkeypatch, arguments):
    """An empty --out, such as an unset variable of the shell, is neither the root nor the current folder."""
    monkeypatch.chdir(tmp_path)
    run = command_line.run(*arguments)

    assert run.exit_code == 2
    assert "Invalid value for '--out': must not be empty, got ''." in run.output
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        (["pack", "", "--out", "x"], "FOLDER"),
        (["index", "a.tar", ""], "SHARDS"),
        (["verify", "a.tar", "--quarantine", ""], "--quarantine"),
        (["train", "a.tar", "--out", "x", "--val", "b.tar", "--val", ""], "--val"),
    ],
)
def test_other_empty_values_are_refused(arguments, name):
    """So are empty arguments, other empty options, and empty ones among several."""
    assert f"Invalid value for '{name}': must not be empty" in command_line.run(*arguments).output


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        (["pack", "photos", "--out", "s3://bucket/x"], "--out"),
        (["pack", "s3://bucket/photos", "--out", "x"], "FOLDER"),
        (["train", "a.tar", "--out", "s3://bucket/x"], "--out"),
        (["train", "a.tar", "--out=az://bucket/x"], "--out"),
        (["demo", "none.tar", "--out", "gs://bucket/x"], "--out"),
        (["view", "a.tar", "--out", "s3://bucket/x.png"], "--out"),
        (["verify", "a.tar", "--quarantine", "s3://bucket/x"], "--quarantine"),
        (["bench", "topk", "--json", "https://host/x.json"], "--json"),
        (["bench", "report", "a.json", "hdfs://host/b.json"], "FILES"),
    ],
)
def test_a_local_path_has_no_scheme(tmp_path, monkeypatch, arguments, name):
    """Where a path can only be local, a URL is refused at once; it would be a folder named by its scheme."""
    monkeypatch.chdir(tmp_path)
    run = command_line.run(*arguments, width=200)
    url = next(argument.partition("=")[2] or argument for argument in arguments if "://" in argument)

    assert run.exit_code == 2
    said = f"must be a local path, got {url!r} – only shards, and the folder that foveal zoom writes, may be elsewhere."
    assert f"Invalid value for '{name}':" in run.output
    assert said in run.output
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "out", ["out", "a:b", "s3:", "file:out", "file:///{}/out", "file://localhost/{}/out"]
)
def test_a_local_path_may_be_a_url(tmp_path, monkeypatch, out):
    """A file: URL is the path that it names, and a path may have colons in it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos/a.jpg").touch()
    run = command_line.run(
        "pack", (tmp_path / "photos").as_uri(), "--out", out.format(str(tmp_path).lstrip("/"))
    )

    assert run.exit_code == 0, run.output
    folder = out if out in ("a:b", "s3:") else "out"
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([folder, "photos"])
    assert (tmp_path / folder / "photos-000000.tar").is_file()


@pytest.mark.parametrize("verb", ["verify", "view", "explore", "train", "zoom"])
@pytest.mark.parametrize("image", ["image", "__key__", "tif;", "jpg;image"])
def test_an_image_is_a_member(tmp_path, monkeypatch, verb, image):
    """What is no member's extension is refused as the image before anything is read or written."""
    monkeypatch.chdir(tmp_path)
    out = ["--out", "x"] if verb in ("view", "train", "zoom") else []
    run = command_line.run(verb, "none.tar", *out, "--image", image, width=200)

    assert run.exit_code == 2
    said = (
        f"Invalid value for '--image': must be extensions of members, such as tif or left.jpg, got {image!r}."
    )
    assert said in run.output
    assert list(tmp_path.iterdir()) == []
