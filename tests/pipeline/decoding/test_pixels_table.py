"""The table of docs/pixels.md is true."""

import numpy as np
import pytest

from foveal.pipeline import DecodeError
from tests.pipeline.decoding.pixels_table import (
    BEGIN,
    END,
    LOSSY,
    PAGE,
    Row,
    line,
    off_by,
    rows,
    shown,
    table,
    without_the_extra,
)

ROWS = rows()


def name_of(row: Row) -> str:
    return f"{row.format} {row.samples} {row.layout}"


@pytest.mark.parametrize("row", ROWS, ids=name_of)
def test_each_row_is_right(row):
    """Each file is decoded to within a level, or refused with the reason that the table gives."""
    if row.levels is None:
        with pytest.raises(DecodeError, match="needs a window"):
            shown(row)
    else:
        assert off_by(row, shown(row)[0]) <= (LOSSY if row.lossy else 1)


@pytest.mark.parametrize("row", ROWS, ids=name_of)
def test_without_the_extra_no_row_is_wrong(row):
    """Without the extra, each file is decoded as well, or the error names the package that reads it."""
    with without_the_extra():
        try:
            levels, _ = shown(row)
        except DecodeError as error:
            reason = error.reason
        else:
            assert off_by(row, levels) <= (LOSSY if row.lossy else 1)
            return
    assert reason.startswith(("needs a window", "needs the extra foveal[formats]: "))


def test_the_page_has_this_table():
    """The page has the table that the script makes."""
    page = PAGE.read_text()
    assert page[page.index(BEGIN) + len(BEGIN) : page.index(END)] == f"\n{table()}\n"


def test_a_wrong_row_would_be_seen():
    """If a file shows other levels than its row says, the table says so and the check above fails."""
    row = ROWS[0]._replace(levels=np.zeros_like(ROWS[0].levels))

    assert "**wrong**" in line(row)
    assert off_by(row, shown(row)[0]) > 1
