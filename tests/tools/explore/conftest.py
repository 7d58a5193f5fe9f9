"""What the page of foveal explore shows in the tests."""

import pytest

from tests.tools.explore.explored import write


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """Return a source of good samples."""
    return write(tmp_path_factory.mktemp("explore"), damaged=False)


@pytest.fixture(scope="module")
def damaged(tmp_path_factory):
    """Return a source whose last sample is damaged."""
    return write(tmp_path_factory.mktemp("explore"), damaged=True)
