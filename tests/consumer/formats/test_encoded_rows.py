import polars as pl
import pytest

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
