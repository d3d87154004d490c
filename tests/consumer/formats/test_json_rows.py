"""Rows that are written together are the objects that a writer of one row at a time makes."""

import json

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer.formats.json_rows import json_rows
from consumer.formats.json_text import json_object

_TEXT = st.none() | st.text(max_size=20)
_ITEM = st.none() | st.fixed_dictionaries({"id": _TEXT, "name": _TEXT})
_ROW = st.fixed_dictionaries({
    "number": st.none() | st.integers(-(2**63), 2**63 - 1),
    "text": _TEXT,
    "item": _ITEM,
    "items": st.none() | st.lists(_ITEM, max_size=3),
})  # fmt: skip
_ITEM_TYPE = pl.Struct({"id": pl.String, "name": pl.String})
_SCHEMA = {"number": pl.Int64, "text": pl.String, "item": _ITEM_TYPE, "items": pl.List(_ITEM_TYPE)}


@given(st.lists(_ROW, max_size=20), st.sampled_from([b",", b"\n", b"\r\n"]))
def test_rows_are_those_of_a_writer_of_single_rows(rows, separator):
    frame = pl.DataFrame(rows, schema=_SCHEMA)
    expected = frame.select(json_object({name: pl.col(name) for name in _SCHEMA})).to_series().to_list()
    found = json_rows(frame, separator)
    assert [json.loads(row) for row in found] == [json.loads(row) for row in expected]
    assert bytes(found.view) == separator.join(found)
    assert found.longest == max(map(len, found), default=0)


@pytest.mark.parametrize("part", [slice(0, 2), slice(1, 3), slice(3, 3)])
def test_a_slice_of_rows_has_their_bytes(part):
    rows = json_rows(pl.DataFrame({"a": ["x", "line\nfeed", "ä"]}), b",")
    assert [json.loads(row)["a"] for row in rows[part]] == ["x", "line\nfeed", "ä"][part]
