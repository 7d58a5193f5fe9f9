"""What tests of the command line share."""

import pytest


@pytest.fixture
def no_sheet(monkeypatch):
    """A second less."""
    monkeypatch.setattr("foveal.tools.offline._sheet.draw_zoomed", lambda *_: b"a picture")
