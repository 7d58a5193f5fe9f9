"""The help of every verb: what it shows, what its example does, and that it is light."""

import re
import shlex
import subprocess
import sys
from typing import Annotated

import pytest
import typer
from typer.main import get_command

from tests.pipeline.making import encode, picture
from tests.time_limits import HANGS_AFTER_S
from tests.tools import command_line

# What makes an example small enough for a test. It is appended, so it replaces what the example says itself.
SMALL = {
    "demo": "--scenes 1 --rows 1 --batch-size 2 --out-size 32",
    "pack": "",
    "index": "",
    "verify": "",
    "view": "--rows 1 --out-size 32",
    "explore": "",
    "train": "--epochs 1 --batch-size 4 --out-size 32",
    "zoom": "--out-size 32",
    "doctor": "--images 4 --repeats 1 --out-size 32",
    "bench loader": "--images 4 --batch-size 2 --repeats 1 --out-size 32",
    "bench peers": "--images 4 --batch-size 2 --repeats 1 --out-size 32",
    "bench report": "",
    "bench zoom": "--repeats 1 --out-size 32",
    "bench sample": "--repeats 1 --out-size 32",
    "bench faults": "--images 20 --batch-size 4 --repeats 1 --out-size 32",
    "bench adaptive": "--repeats 1 --image-size 64",
    "bench quality": "--out-size 32",
    "bench topk": "--repeats 1",
    "bench grid": "--repeats 1 --out-size 32",
    "bench layer": "--repeats 1",
    "bench accuracy": "--scenes 64 --epochs 1 --batch-size 16",
}
# Examples that are only parsed: they take minutes at any size, and tests of their own run what they call on small images.
PARSED = {"bench gpu", "bench memory", "bench scale"}
FIRST = [name for name in SMALL if not name.startswith("bench")]


def verbs(command, path=()):
    """Every verb that runs something, as its words, and how the parser has it."""
    for name, each in command.commands.items():
        if hasattr(each, "commands"):
            yield from verbs(each, (*path, name))
        else:
            yield " ".join([*path, name]), each


VERBS = dict(verbs(command_line.command()))


def example(name):
    """The example of a verb, as the words after ``foveal``."""
    [line] = re.findall(r"^Example: foveal (.*)$", VERBS[name].epilog, re.MULTILINE)
    return shlex.split(line)


def shown(*words):
    """A help text without its frames and line breaks."""
    run = command_line.run(*words, "--help", width=4000)
    assert run.exit_code == 0, run.output
    return " ".join(re.sub(r"[│╭╮╰╯─]", " ", run.output).split())


@pytest.fixture
def world(tmp_path, monkeypatch, no_sheet):
    """A folder with the images that the examples are about, of two classes."""
    monkeypatch.setattr("foveal.tools.training.train.draw_validation", lambda *_, **__: None)
    for part, count in (("train", 8), ("val", 4)):
        for k in range(count):
            path = tmp_path / "photos" / part / ("cat", "dog")[k % 2] / f"{k}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(encode(picture(k, 50, 60)))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run_example(name):
    run = command_line.run(*example(name), *shlex.split(SMALL[name]))
    assert run.exit_code == 0, (name, run.output, run.exception)


def lacking(parameter):
    """What the help of a parameter does not say, of what a reader needs; empty if it says all."""
    if not parameter.help or not parameter.help.rstrip().endswith("."):
        return "a sentence on what it is"
    if parameter.param_type_name == "argument" or parameter.required:
        return ""
    if parameter.is_flag and not parameter.secondary_opts:
        return "" if re.search(r"Without it|For scripts", parameter.help) else "what happens without it"
    said = parameter.show_default and (
        parameter.default is not None or isinstance(parameter.show_default, str)
    )
    return "" if said else "the default"


@pytest.mark.parametrize("name", VERBS)
def test_a_help_text_is_complete(name):
    """Each parameter has a sentence and says what happens if it is left out, no flag has a type, and an example comes last."""
    text = shown(*name.split())

    assert "<bool>" not in text
    for said in (VERBS[name].help, *(each.help for each in VERBS[name].params)):
        assert " ".join(said.replace("\\[", "[").split()) in text  # nothing is taken for markup
    assert [(each.name, lacking(each)) for each in VERBS[name].params if lacking(each)] == []
    assert re.search(rf"Example: foveal {name} [^.]", text)
    assert example(name)[: len(name.split())] == name.split()


def test_an_incomplete_help_text_is_found():
    """A parameter without a sentence, a default, or the effect of a flag would not pass."""
    app = typer.Typer(add_completion=False)

    @app.command()
    def verb(
        named: Annotated[str | None, typer.Option(help="Nothing happens.")] = None,
        silent: Annotated[int, typer.Option()] = 3,
        flag: Annotated[bool, typer.Option("--flag", help="Do more.")] = False,
    ) -> None: ...

    assert [lacking(each) for each in get_command(app).params] == [
        "the default",
        "a sentence on what it is",
        "what happens without it",
    ]


def test_the_first_help_text_says_the_order_of_steps():
    """It lists the verbs in that order, and says what a shard, a sample, a member and saliency are."""
    text = shown()
    steps = text.partition("In this order: ")[2].partition(" shard a ")[0]
    starts = re.findall(
        r"(?:^|[.,;] )(\w+) (?:and \w+ )?(?:shows?|makes|finds|learns|writes|trains)\b", steps
    )

    assert starts == ["demo", "pack", "verify", "view", "train", "zoom"]
    assert all(re.search(rf"\b{word} (a|an) ", text) for word in ("shard", "sample", "member", "saliency"))
    listed = re.findall(r"\b(demo|pack|index|verify|view|explore|train|zoom|doctor|bench) [A-Z]", text)
    assert listed == list(dict.fromkeys(name.split()[0] for name in VERBS))


def test_the_examples_run(world, monkeypatch):
    """One after the other they lead from a folder of images to zoomed shards, each on what the ones before it wrote."""
    served = []
    monkeypatch.setattr(
        "foveal.tools.explore.serve.serve", lambda source, **how: served.append((source, how))
    )
    command_line.run("pack", "photos/val", "--out", "shards/val")

    for name in FIRST:
        run_example(name)

    assert {path.name for path in world.iterdir()} >= {"demo", "shards", "sheet.png", "runs", "zoomed"}
    assert (world / "zoomed/train/train-000000.tar").is_file()
    assert len(served) == 1


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in SMALL if name.startswith("bench")])
def test_the_examples_of_benchmarks_run(name, world, data_dir, monkeypatch):
    """Each in a folder with shards, and with the files of the benchmarks that it draws."""
    monkeypatch.setenv("FOVEAL_DATA", str(data_dir))
    command_line.run("pack", "photos/train", "--out", "shards/train")
    if name == "bench report":
        for other in ("bench loader", "bench peers"):
            run_example(other)
    run_example(name)


@pytest.mark.slow
def test_torchrun_starts_a_training_as_its_help_says(world):
    """On two processes, which write one run; also with the option that torchrun would take for one of its own."""
    [line] = re.findall(
        r"torchrun (--nproc-per-node 4 -m -- foveal.tools train SHARDS --out OUT)\.", shown("train")
    )
    command_line.run("pack", "photos/train", "--out", "shards/train")
    words = line.replace("4", "2").replace("SHARDS", "shards/train/*.tar").replace("OUT", "run").split()
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", *words]
    run = subprocess.run(
        [*command, *SMALL["train"].split(), "--log", "tensorboard"],
        capture_output=True,
        text=True,
        check=False,
        timeout=HANGS_AFTER_S,
    )

    assert run.returncode == 0, run.stderr
    assert (world / "run/saliency.pt").is_file()


def test_each_verb_has_its_example_run():
    """None is forgotten, and each is a command that the parser takes."""
    assert set(SMALL) | PARSED == set(VERBS)
    for name in PARSED:
        assert VERBS[name].make_context(name, example(name)[len(name.split()) :]).params
    for name, parser in VERBS.items():
        known = {option for each in parser.params for option in (*each.opts, *each.secondary_opts)}
        assert {word for word in example(name) if word.startswith("--")} <= known


def test_all_help_is_light():
    """No help text needs torch or another large package, so each is shown at once."""
    words = [[], *(name.split() for name in VERBS)]
    code = f"""
import sys
from foveal.tools import main
for words in {words!r}:
    sys.argv = ["foveal", *words, "--help"]
    try:
        main()
    except SystemExit as end:
        assert end.code == 0, words
print("heavy", {{"torch", "numpy", "nvidia", "matplotlib", "PIL", "numba", "fsspec"}} & set(sys.modules))
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert run.stdout.splitlines()[-1] == "heavy set()"
