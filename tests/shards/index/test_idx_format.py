import re

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from foveal.shards.index import Member, Stamp, parse_stamp
from foveal.shards.index._idx_format import (
    Entry,
    format_index,
    format_line,
    is_quoted,
    parse_beyond,
    parse_count,
    parse_entries,
    parse_line,
)

letters = st.characters(codec="utf-8", exclude_characters=".")
text, keys = st.text(letters, max_size=8), st.text(letters, min_size=1, max_size=8)
members = st.builds(Member, keys, text, st.integers(0, 2**60), st.integers(0, 2**60))


@given(st.lists(members, min_size=1, max_size=4))
def test_a_line_reads_back(sample):
    """A line keeps any names, with white space and NUL, and stays one line."""
    line = format_line(sample)

    assert parse_line(line) == sample
    assert b"\n" not in line


@given(st.lists(st.lists(members, min_size=1, max_size=3), max_size=3))
def test_the_file_reads_back(samples):
    """The file reads back equal if no name has white space, and its end says which tar it is of."""
    lines = [format_line(sample) for sample in samples]
    assume(not any(map(is_quoted, lines)))
    content = format_index(lines, Stamp(5, -6))

    assert parse_entries(content) == [[Entry(m.ext, m.offset, m.size, m.name) for m in s] for s in samples]
    assert parse_count(content) == len(samples)
    assert parse_stamp(content) == Stamp(5, -6)


def test_is_plain_text():
    """The file is DALI's v1.2, followed by one line of ours."""
    lines = [format_line([Member("d/a", "cls", 512, 2), Member("d/a", "JPG", 1536, 9)])]

    assert format_index(lines, Stamp(10240, 7)) == (
        b"v1.2 1\ncls 512 2 d/a.cls JPG 1536 9 d/a.JPG\n# foveal 2 size=10240 mtime_ns=7\n"
    )


@given(st.integers(0, 1 << 60), st.booleans())
def test_how_much_follows_the_end_mark(beyond, remote):
    """The number of bytes after the end mark is in the last line, if it is not zero."""
    stamp = Stamp(10240, None, '"1 2"') if remote else Stamp(10240, 7)
    text = format_index([], stamp, beyond)

    assert (parse_stamp(text), parse_beyond(text)) == (stamp, beyond)
    assert (b"beyond" in text) == (beyond > 0)


@pytest.mark.parametrize("name", ["a b.jpg", "a\tb.jpg", "a.jp g", "a."])
def test_tells_what_dali_would_misread(name):
    """A field with white space, or an empty one, is quoted, and known to be unreadable by DALI."""
    key, _, ext = name.partition(".")

    assert is_quoted(format_line([Member(key, ext, 512, 1)]))
    assert not is_quoted(format_line([Member("é/a_b", "x.jpg", 512, 1)]))


def test_reads_names_with_spaces_as_other_tools_write_them():
    """A name with spaces is read up to its extension."""
    line = "jpg 512 5 my dir/a b.jpg seg map.png 1536 7 my dir/a b.seg map.png cls 3072 1 my dir/a b.cls"

    assert parse_entries(f"v1.2 1\n{line}\n".encode()) == [
        [
            Entry("jpg", 512, 5, "my dir/a b.jpg"),
            Entry("seg map.png", 1536, 7, "my dir/a b.seg map.png"),
            Entry("cls", 3072, 1, "my dir/a b.cls"),
        ]
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "line 1 must be 'v1.1' or 'v1.2' and the number of samples"),
        (b"v1.3 1\njpg 512 1 a.jpg\n", "line 1 must be 'v1.1' or 'v1.2' and the number of samples"),
        (b"v1.2 2\njpg 512 1 a.jpg\n\n", "line 3 is not made of extension, offset, size and name"),
        (b"v1.2 2\njpg 512 1 a.jpg\n", "2 samples are announced, there are 1 lines of them"),
        (b"v1.2 1\njpg 512 1\n", "line 2 is not made of extension, offset, size and name"),
        (b"v1.2 1\njpg 512 1 a.png\n", "line 2 is not made of extension, offset, size and name"),
        (b"v1.1 1\njpg 512 x\n", "line 2 is not made of extension, offset, size"),
        (b"v1.1 1\njpg 512 1 cls\n", "line 2 is not made of extension, offset, size"),
    ],
)
def test_refuses_what_is_no_index(content, message):
    """A file with another content is refused, with the number of the line."""
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        parse_entries(content)


def test_knows_where_there_is_no_stamp():
    """DALI's own index files have no stamp, and an incomplete one of ours has none either."""
    content = format_index([b"jpg 512 1 a.jpg"], Stamp(1, 2))

    assert parse_stamp(b"v1.2 1\njpg 512 1 a.jpg\n") is None
    assert parse_stamp(content[:-1]) is None
    assert parse_count(b"PK\x03\x04") is None
