import os
import pickle
import re
import subprocess
import sys
import warnings

import pytest

from foveal import __version__
from foveal.pipeline.decoding import MAX_PIXELS
from foveal.pipeline.fields import IMAGE
from foveal.shards import ShardError, ShardWriter
from foveal.tools import main
from foveal.tools.console import choices
from tests.full_disk import full_at
from tests.pipeline.making import encode, picture
from tests.time_limits import HANGS_AFTER_S
from tests.tools import command_line


def foveal(*arguments):
    command = [sys.executable, "-m", "foveal.tools", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=HANGS_AFTER_S, check=False)


@pytest.mark.parametrize(("before", "after"), [(None, "PASSIVE"), ("ACTIVE", "ACTIVE")])
def test_threads_sleep_while_they_wait(before, after):
    """OMP_WAIT_POLICY is set before torch is loaded, unless the environment has it."""
    code = """
import os, sys
from foveal.tools import main
sys.argv = ["foveal", "--version"]
try:
    main()
except SystemExit:
    print(os.environ["OMP_WAIT_POLICY"], "torch" in sys.modules)
"""
    environment = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    environment |= {"OMP_WAIT_POLICY": before} if before else {}
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment
    )

    assert run.stdout.splitlines()[-1] == f"{after} False"


def test_bench_alone_lists_its_verbs():
    """``foveal bench`` alone lists its verbs with their descriptions."""
    shown = foveal("bench").stdout
    verbs = [
        "loader",
        "zoom",
        "sample",
        "faults",
        "adaptive",
        "quality",
        "topk",
        "grid",
        "memory",
        "scale",
        "peers",
        "report",
    ]

    assert [verb for verb in verbs if not re.search(rf"\b{verb} +[A-Z]", shown)] == []


@pytest.mark.parametrize(
    ("old", "new"),
    [("--size=none", "--out-size"), ("--workers=none", "--num-threads"), ("--grid=none", "--family")],
)
def test_old_names_of_options_still_work(old, new):
    """Old names of options work for one release with a warning; --help shows the new ones."""
    run = foveal("train", "a.tar", "--out", "run", old)

    name, new_name = old.removeprefix("--").partition("=")[0], new.removeprefix("--")
    assert run.stderr.startswith(
        f"foveal: '{name}' on the command line is now called '{new_name}'; the old name will be removed"
    )
    assert f"Invalid value for '{new}'" in run.stderr  # it was read as the new one
    assert re.search(rf"--{name}\b", foveal("train", "--help").stdout) is None


@pytest.mark.parametrize(
    ("words", "old", "new"),
    [
        (["index", "a.tar", "--force"], "force", "overwrite"),
        (["pack", "photos", "--out", "out", "--no-labels"], "no-labels", "no-classes"),
        (["verify", "a.tar", "--fields", "image,cls"], "fields", "members"),
        (["zoom", "a.tar", "--out", "out", "--retry-failed"], "retry-failed", "retry-bad"),
    ],
)
def test_old_names_of_further_options_still_work(words, old, new, tmp_path, monkeypatch):
    """Each is read as the new one: what ends the command is that its files are not there."""
    monkeypatch.chdir(tmp_path)
    with pytest.warns(FutureWarning, match=f"'{old}' on the command line is now called '{new}'"):
        run = command_line.run(*words)

    assert isinstance(run.exception, OSError | ShardError), run.output


def test_old_names_of_choices_still_work(tmp_path):
    """Old names of choices work as values of options."""
    run = foveal("zoom", tmp_path / "none.tar", "--out", tmp_path / "out", "--decode", "full")

    assert run.stderr.startswith("foveal: 'full' on the command line is now called 'dali';")
    assert "none.tar" in run.stderr
    assert run.returncode == 1


def test_the_largest_image_is_that_of_the_library():
    """The limit that --help shows equals the library's, which is not imported for it."""
    assert choices.MAX_PIXELS == MAX_PIXELS
    assert choices.IMAGE == IMAGE


def test_version():
    """--version prints the version."""
    assert foveal("--version").stdout == f"foveal {__version__}\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ["index"],
        ["demo", "--out-size", "many"],
        ["demo", "--batch-size", "0"],
        ["demo", "--zoom", "none"],
        ["bench", "sample", "x"],
    ],
)
def test_bad_usage(arguments):
    """Wrong arguments end with exit status 2."""
    assert command_line.run(*arguments).exit_code == 2


def test_bad_usage_of_the_command():
    """An unknown command ends with exit status 2, and no traceback is printed."""
    run = foveal("nonsense")

    assert run.returncode == 2
    assert "Traceback" not in run.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["index", "none-{0..2}.tar"],
        ["demo", "none-*.tar"],
        ["bench", "loader", "none-0.tar"],
        ["doctor", "none-0.tar"],
    ],
)
def test_no_such_shard(tmp_path, arguments, monkeypatch, capsys):
    """A missing shard ends with exit status 1 and one line that names it."""
    monkeypatch.setattr(sys, "argv", ["foveal", *arguments[:-1], str(tmp_path / arguments[-1])])
    monkeypatch.setattr(warnings, "formatwarning", warnings.formatwarning)
    with pytest.raises(SystemExit) as ended:
        main()
    said = capsys.readouterr().err

    assert ended.value.code == 1
    assert said.startswith("foveal: ")
    assert said.count("\n") == 1
    assert "none-" in said


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["pack", "images", "--out", "a file/x"], "a file/x cannot be used: Not a directory."),
        (["view", "a.tar", "--out", "a file/x.png"], "a file cannot be used: File exists."),
        (
            ["zoom", "a.tar", "--out", "a file", "--saliency", "uniform"],
            "a file cannot be written: File exists",
        ),
    ],
)
def test_places_that_cannot_be_written(tmp_path, monkeypatch, capsys, arguments, expected):
    """The line names the place and the reason, and has no number of the system's."""
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.jpg").write_bytes(encode(picture(0, 20, 30)))
    (tmp_path / "a file").touch()
    with ShardWriter(tmp_path / "a.tar") as writer:
        writer.write({"__key__": "a", "jpg": encode(picture(0, 20, 30))})
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["foveal", *arguments])
    with pytest.raises(SystemExit, match="1"):
        main()

    assert capsys.readouterr().err.splitlines()[-1] == f"foveal: {expected}"


@pytest.mark.parametrize(
    ("arguments", "file"),
    [
        (["pack", "images", "--out", "out"], "out/images-000000.tar"),
        (["verify", "a.tar"], "quarantine.jsonl"),
    ],
)
def test_a_disk_that_is_full(tmp_path, monkeypatch, capsys, arguments, file):
    """The line names the file that could not be written, and the reason."""
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.jpg").write_bytes(encode(picture(0, 20, 30)))
    with ShardWriter(tmp_path / "a.tar") as writer:
        for k in range(20):
            writer.write({"__key__": str(k), "jpg": b"junk"})
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["foveal", *arguments])
    with full_at(1000), pytest.raises(SystemExit, match="1"):
        main()

    assert capsys.readouterr().err.splitlines()[-1] == f"foveal: {file} cannot be written: File too large."


def test_a_warning_is_one_line(tmp_path):
    """A warning about a cut tar is one line, without source code."""
    with ShardWriter(tmp_path / "a.tar") as writer:
        for k in range(3):
            writer.write({"__key__": str(k), "txt": "x"})
    (tmp_path / "cut.tar").write_bytes((tmp_path / "a.tar").read_bytes()[:2500])
    run = foveal("bench", "loader", tmp_path / "cut.tar")

    assert run.returncode == 1
    assert re.match(
        r"foveal: \S+cut.tar: was cut at byte 2500.*\nfoveal: urls must hold .*, the first: \S+cut.tar: 0: member is missing",
        run.stderr,
    ), run.stderr


def test_interrupted(monkeypatch):
    """Ctrl-C ends with exit status 130."""
    import foveal.tools._index

    def interrupted(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(foveal.tools._index, "index_shards", interrupted)
    monkeypatch.setattr(sys, "argv", ["foveal", "index", "a.tar"])
    with pytest.raises(SystemExit, match="130"):
        main()


def test_interrupted_while_a_compiled_module_is_imported(monkeypatch, capsys):
    """Such a module turns Ctrl-C into an ImportError; the command ends as it does at any other moment. Other errors of an import are raised."""
    import foveal.tools._index

    def failing_for(reason):
        def index_shards(*arguments, **options):
            raise ImportError("initialization failed") from reason

        return index_shards

    monkeypatch.setattr(sys, "argv", ["foveal", "index", "a.tar"])
    monkeypatch.setattr(foveal.tools._index, "index_shards", failing_for(KeyboardInterrupt()))
    with pytest.raises(SystemExit, match="130"):
        main()
    assert capsys.readouterr() == ("", "")

    monkeypatch.setattr(foveal.tools._index, "index_shards", failing_for(OSError("no such library")))
    with pytest.raises(ImportError, match="initialization failed"):
        main()


def test_missing_extra(monkeypatch, capsys):
    """A missing package is named with its extra, or as our own message says; other import errors are raised."""
    import foveal.tools._index

    def without(name):
        def index_shards(*arguments, **options):
            raise ModuleNotFoundError("timm must be installed", name=name)

        return index_shards

    monkeypatch.setattr(sys, "argv", ["foveal", "index", "a.tar"])
    monkeypatch.setattr(foveal.tools._index, "index_shards", without("matplotlib"))
    with pytest.raises(SystemExit, match="1"):
        main()
    assert "run pip install 'foveal[plots]'" in capsys.readouterr().err

    monkeypatch.setattr(foveal.tools._index, "index_shards", without(None))
    with pytest.raises(SystemExit, match="1"):
        main()
    assert capsys.readouterr().err == "foveal: timm must be installed\n"

    monkeypatch.setattr(foveal.tools._index, "index_shards", without("foveal.nothing"))
    with pytest.raises(ModuleNotFoundError):
        main()


@pytest.mark.parametrize("verb", ["verify", "view"])
def test_output_that_is_not_in_utf_8(tmp_path, monkeypatch, verb):
    """A name that the output's encoding lacks is written with escapes; it does not end a verb before the verb has said what it found."""
    with ShardWriter(tmp_path / "a.tar") as writer:
        for key, content in (("gut", encode(picture(0, 20, 30))), ("m\xfcll", b"x")):
            writer.write({"__key__": key, "jpg": content})
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    monkeypatch.chdir(tmp_path)
    options = ["--out", "sheet.png", "--out-size", "16"] if verb == "view" else []
    done = foveal(verb, "a.tar", *options)

    assert done.returncode == (1 if verb == "verify" else 0), done.stderr
    assert "a.tar: m\\xfcll: " in done.stdout + done.stderr
    assert "Error" not in done.stderr


def test_data_at_fault_ends_with_one_line(monkeypatch, capsys):
    """Each error about data ends in one line, which names no setting without an option; a programming error keeps its traceback."""
    import foveal.tools._index
    from foveal.pipeline import TooManyBadSamplesError

    def failing(error):
        def index_shards(*arguments, **options):
            raise error

        return index_shards

    monkeypatch.setattr(sys, "argv", ["foveal", "index", "a.tar"])
    monkeypatch.setattr(foveal.tools._index, "index_shards", failing(TooManyBadSamplesError("all\nbad")))
    with pytest.raises(SystemExit, match="1"):
        main()
    assert capsys.readouterr().err == "foveal: all bad\n"

    error = TooManyBadSamplesError("all\nbad", "run `foveal verify`", "raise max_bad_fraction")
    monkeypatch.setattr(foveal.tools._index, "index_shards", failing(error))
    with pytest.raises(SystemExit, match="1"):
        main()
    assert capsys.readouterr().err == "foveal: all bad – run `foveal verify`.\n"
    assert (
        str(pickle.loads(pickle.dumps(error))) == "all\nbad – run `foveal verify`, or raise max_bad_fraction."
    )

    monkeypatch.setattr(foveal.tools._index, "index_shards", failing(RuntimeError("a fault of ours")))
    with pytest.raises(RuntimeError, match="a fault of ours"):
        main()


@pytest.mark.parametrize(
    "name",
    sorted(
        name
        for name, each in command_line.command().commands["bench"].commands.items()
        if any(p.name == "json" for p in each.params)
    ),
)
def test_results_need_a_folder(tmp_path, name):
    """Each benchmark refuses a file for its results in a folder that does not exist, before it measures anything."""
    run = command_line.run("bench", name, "--json", tmp_path / "none" / "r.json", width=300)

    assert run.exit_code == 2
    assert f"must be a file in a folder that exists, got {str(tmp_path / 'none' / 'r.json')!r}." in run.output


def test_a_scene_of_a_benchmark_is_large_enough():
    """A size at which scenes cannot be drawn is bad usage."""
    assert command_line.run("bench", "adaptive", "--image-size", 16).exit_code == 2
