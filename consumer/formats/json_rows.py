"""Frames as rows of JSON in one buffer: no row becomes a text of its own."""

import io
from typing import TYPE_CHECKING

import polars as pl
from arro3.io import write_ndjson

from consumer.formats.encoded_rows import EncodedRows

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


def json_rows(objects: pl.DataFrame, separator: bytes) -> EncodedRows:
    """Write one JSON object a row, with its columns as members; those that are null are left out, within nested objects too.

    Columns are texts, whole numbers and truth values, and structs and lists of them. Of others the writer makes texts of its own,
    and of a time that it cannot write the text of an error, which nobody would notice: convert them before.
    """
    lines = _Lines()
    write_ndjson(objects, lines)
    return EncodedRows.of_lines(b"".join(lines.parts), separator)


class _Lines(io.BytesIO):
    """A file that keeps what is written in parts: to make one buffer longer again and again takes a fifth of the whole time."""

    def __init__(self) -> None:
        super().__init__()
        self.parts: list[bytes] = []

    def write(self, part: "ReadableBuffer", /) -> int:
        self.parts.append(bytes(part))
        return len(self.parts[-1])
