"""Each script of docs/frameworks.md trains, and after a stop in mid-epoch goes on as if it had not been stopped."""

import pytest

from tests.frameworks.scripts import check_resumes, script

EACH = {4: 4, 9: 9}  # saved after each batch
EVERY_FOURTH = {7: 4, 9: 8}
EVERY_STEP = {4: 4, 8: 7}  # of two batches, or one at the end of an epoch


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
        ("torchdata", "torchdata.stateful_dataloader", EACH),
        ("timm", "timm", EACH),
        ("Distributed checkpoints", "torch", EACH),
    ],
)
def test_goes_on_as_if_never_stopped(heading, package, saved, new_folder):
    """A run that was stopped and started again has the batches and weights of an uninterrupted run."""
    pytest.importorskip(package, reason=f"{package} is installed by `make test-all`")
    code = script(heading).replace('"resnet10t"', '"test_resnet"')  # timm's own for tests
    check_resumes(code, new_folder, saved, reads_again=heading == "Composer")


@pytest.mark.slow
@pytest.mark.parametrize("forgotten", [', "loader": loader', '"training": Training(), '])
def test_the_check_finds_what_is_not_resumed(forgotten, new_folder):
    """The check fails for a script that does not save the loader's place, or the weights."""
    code = script("Distributed checkpoints")
    assert forgotten in code
    with pytest.raises(AssertionError):
        check_resumes(code.replace(forgotten, ""), new_folder, EACH)
