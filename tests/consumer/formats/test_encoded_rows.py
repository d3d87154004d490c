import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer.formats.encoded_rows import EncodedRows


@pytest.mark.parametrize("count", [0, 1, 10, 5_000])
@pytest.mark.parametrize("separator", [b",", b"\r\n"])
def test_a_column_of_any_size_gives_its_texts(count, separator):
    """A large column takes another way than a small one; both count bytes, not characters."""
    texts = [f"ä{number}" * (number % 5) for number in range(count)]
    rows = EncodedRows.of_texts(pl.Series(texts, dtype=pl.String), separator)
    assert list(rows) == [text.encode() for text in texts]
    assert bytes(rows.view) == separator.join(text.encode() for text in texts)
    assert (rows.size, rows.longest) == (
        len(rows.view),
        max((len(text.encode()) for text in texts), default=0),
    )


@pytest.mark.parametrize("separator", [b",", b"\r\n"])
@pytest.mark.parametrize("replaced", [{}, {0: b"first"}, {9: b""}, {3: b"x" * 50, 4: b"y", 8: b"z"}])
def test_other_rows_take_the_place_of_some(separator, replaced):
    """Whatever they are put among: a slice of a larger buffer keeps its own rows."""
    texts = [b"r%d" % number * number for number in range(12)]
    rows = EncodedRows.of(texts, separator)[1:11]
    expected = [replaced.get(index, text) for index, text in enumerate(texts[1:11])]
    found = rows.with_rows(replaced)
    assert (list(found), bytes(found.view)) == (expected, separator.join(expected))
    assert list(found[2:5]) == expected[2:5]


def test_long_rows_are_named_by_their_bytes():
    rows = EncodedRows.of([b"x" * size for size in (3, 9, 8, 12)], b"--")
    assert [list(rows.longer_than(size)) for size in (8, 9, 12)] == [[1, 3], [3], []]
    assert list(rows[1:].longer_than(8)) == [0, 2]
    assert list(EncodedRows().longer_than(0)) == []


@given(st.lists(st.integers(0, 30), max_size=40), st.integers(0, 31), st.integers(0, 5))
def test_no_long_row_hides_among_short_ones(sizes, limit, first):
    """Rows are passed over together, so each place for a long one counts: first, last, beside another, behind a slice."""
    rows = EncodedRows.of([b"x" * size for size in sizes], b",")[first:]
    expected = [index for index, size in enumerate(sizes[first:]) if size > limit]
    assert list(rows.longer_than(limit)) == expected


@pytest.mark.parametrize("parts", [1, 2])
def test_rows_that_were_joined_for_a_body_are_not_copied_again(parts):
    block = EncodedRows.of([b"one", b"two", b"three", b"four"], b",")
    joined = EncodedRows.joined([block[1:3], block[:1]][:parts], b",", b"[", b"]")
    expected = b"[two,three]" if parts == 1 else b"[two,three,one]"
    assert (joined.framed(b"[", b"]"), bytes(joined.view)) == (expected, expected[1:-1])
    assert joined.framed(b"[", b"]") is joined.data
    assert joined[1:2].framed(b"[", b"]") == b"[three]"
    assert joined.framed(b"{", b"}") == b"{" + expected[1:-1] + b"}"
    assert EncodedRows.joined([], b",", b"[", b"]").framed(b"[", b"]") == b"[]"
