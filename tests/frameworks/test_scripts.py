"""Each script of docs/frameworks.md trains, and after a stop in mid-epoch goes on as if it had not been stopped."""

import pytest

from tests.frameworks.scripts import check_resumes, run, script

EACH = {4: 4, 9: 9}  # saved after each batch
ANYWHERE = {number: number for number in range(1, 10)}
EVERY_FOURTH = {7: 4, 9: 8}
EVERY_STEP = {4: 4, 8: 7}  # of two batches, or one at the end of an epoch


def code_of(heading, package):
    """The code below a heading; the test is skipped without its package."""
    pytest.importorskip(package, reason=f"{package} is installed by `make test-all`")
    return script(heading).replace('"resnet10t"', '"test_resnet"')  # timm's own for tests


@pytest.mark.slow
@pytest.mark.parametrize(
    ("heading", "package", "saved"),
    [
        ("Lightning", "lightning", EVERY_FOURTH),
        ("Fabric", "lightning", EACH),
        ("Accelerate", "accelerate", EVERY_STEP),
        ("Transformers", "transformers", EVERY_FOURTH),
        ("Composer", "composer", EVERY_FOURTH),
        ("Ignite", "ignite", EVERY_FOURTH),
        ("fastai", "fastai", EACH),
        ("torchdata", "torchdata.stateful_dataloader", ANYWHERE),
        ("timm", "timm", EACH),
        ("Distributed checkpoints", "torch", EACH),
    ],
)
def test_goes_on_as_if_never_stopped(heading, package, saved, new_folder):
    """A run that was stopped and started again has the batches and weights of an uninterrupted run."""
    code = code_of(heading, package)
    check_resumes(code, new_folder, saved, reads_again=heading == "Composer")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("heading", "package"),
    [
        ("Fabric", "lightning"),
        ("Accelerate", "accelerate"),
        ("fastai", "fastai"),
        ("torchdata", "torchdata.stateful_dataloader"),
        ("timm", "timm"),
        ("Distributed checkpoints", "torch"),
    ],
)
def test_has_nothing_left_to_do(heading, package, new_folder):
    """A run that has finished, and is started again, trains on no batch."""
    code, folder = code_of(heading, package), new_folder()
    finished, again = run(code, folder), run(code, folder)

    assert (len(finished.labels), again.labels) == (10, [])


@pytest.mark.slow
@pytest.mark.parametrize("forgotten", [', "loader": loader', '"training": Training(), '])
def test_the_check_finds_what_is_not_resumed(forgotten, new_folder):
    """The check fails for a script that does not save the loader's place, or the weights."""
    code = script("Distributed checkpoints")
    assert forgotten in code
    with pytest.raises(AssertionError):
        check_resumes(code.replace(forgotten, ""), new_folder, EACH)
