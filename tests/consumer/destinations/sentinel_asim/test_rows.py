import json

import pytest
from hypothesis import given, settings

from consumer.decoding.columns import decode
from consumer.destinations.azure_ingestion.body import BODY_FORMAT, MAX_VALUE_BYTES
from consumer.destinations.sentinel_asim.rows import COLUMNS, encode_rows
from tests.support import asim
from tests.support.messages import WRITER_SCHEMAS, event, event_lists, message

LONELY = {"id": None, "name": None, "typeName": None, "parentId": None, "parentName": None}


def encoded(events):
    return list(encode_rows(decode([message(each) for each in events], WRITER_SCHEMAS).frame))


def rows(events):
    return [json.loads(row) for row in encoded(events)]


def whole(**fields):
    """An event with every field, for the plain row."""
    nothing = dict.fromkeys(
        (
            *("summary", "category", "description", "eventSource", "remoteAddress", "authorKey", "authorAccountId"),
            *("objectItem", "changedValues", "associatedItems", "unmodeled", "variant"),
        )
    )  # fmt: skip
    return nothing | event(1, **fields)


@given(event_lists)
@settings(max_examples=40)
def test_every_column_of_a_row_is_declared(events):
    """Azure drops an undeclared column behind a 204."""
    for row in rows(events):
        assert row.keys() <= COLUMNS.keys()
        assert type(row["EventCount"]) is int
        assert isinstance(row["AdditionalFields"], dict)
        assert all(isinstance(row[name], str) for name in row.keys() - {"EventCount", "AdditionalFields"})


def items(count, length):
    return [{**LONELY, "name": f"{number} " + "é" * length} for number in range(count)]


def changes(count, length):
    return [
        {"fieldName": f"field {number}", "changedFrom": None, "changedTo": "x" * length}
        for number in range(count)
    ]


@pytest.mark.parametrize("size", [MAX_VALUE_BYTES - 1, MAX_VALUE_BYTES])
def test_a_value_of_64_kilobytes_passes_whole(size):
    one = whole(authorKey="é" + "x" * (size - 2))
    assert rows([one]) == [asim.row(one)]


@pytest.mark.parametrize("text", ["x" * 65_537, "é" * 40_000, '"' * 70_000, "🎈" * 250_000])
def test_a_longer_text_is_truncated_with_a_mark_that_names_its_column(text):
    """Columns that hold the same text are each truncated, and the mark tells the size."""
    row = rows([event(0), event(1, summary=text, objectItem={**LONELY, "name": text}), event(2)])[1]
    for column in ("Operation", "EventMessage", "Object"):
        kept, _, mark = row[column].rpartition("…")
        assert len(row[column].encode()) <= MAX_VALUE_BYTES
        assert text.startswith(kept)
        assert len(kept.encode()) > MAX_VALUE_BYTES - 200
        assert mark == f" [{column} was cut by jira-relay: {len(text.encode())} bytes]"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("associatedItems", items(3000, 10)),
        ("associatedItems", items(3, 100_000)),
        ("associatedItems", items(900, 900)),
        ("changedValues", changes(5000, 1)),
        ("changedValues", changes(2, 70_000)),
        ("description", "d" * 70_000),
        ("unmodeled", json.dumps({"x": "\\" * 70_000})),
    ],
)
def test_additional_fields_lose_only_what_is_too_long(name, value):
    """The value fits, the long member has a mark, and the others are whole."""
    one = whole(**{"description": "kept " * 500, "eventSource": "app", name: value})
    fields, expected = rows([one])[0]["AdditionalFields"], asim.row(one)["AdditionalFields"]
    assert len(json.dumps(fields, ensure_ascii=False).encode()) <= MAX_VALUE_BYTES
    assert "AdditionalFields was cut by jira-relay" in json.dumps(fields[name], ensure_ascii=False)
    assert {key: kept for key, kept in fields.items() if key != name} == {
        key: kept for key, kept in expected.items() if key != name
    }
    if isinstance(value, list):
        assert fields[name][0].keys() == expected[name][0].keys()


def test_additional_fields_fit_when_every_member_is_too_long():
    long = dict.fromkeys(("description", "eventSource", "remoteAddress", "unmodeled"), "x" * 70000)
    row = rows([event(1, **long, associatedItems=items(5000, 50), changedValues=changes(5000, 50))])[0]
    fields = row["AdditionalFields"]
    assert len(json.dumps(fields, ensure_ascii=False).encode()) <= MAX_VALUE_BYTES
    assert all("was cut by jira-relay" in json.dumps(fields[name]) for name in (*long, "associatedItems", "changedValues"))  # fmt: skip
    assert fields["collected"] == asim.iso(event(1)["collected"])


def test_a_row_larger_than_a_body_is_truncated_until_it_fits():
    """Every value within its bound, and yet all of them together too much."""
    texts = ("summary", "category", "authorKey", "authorAccountId", "description")
    text = "\u0001" * 64_000
    item = {**dict.fromkeys(LONELY, text)}
    change = [{"fieldName": text, "changedFrom": text, "changedTo": text}]
    (row,) = encoded([event(1, **dict.fromkeys(texts, text), objectItem=item, changedValues=change)])
    assert len(row) <= BODY_FORMAT.max_row_bytes
    assert json.loads(row)["EventOriginalUid"] == "acme.atlassian.net/1"


def test_one_long_row_leaves_its_neighbours_alone():
    found = rows([event(0), event(1, description="d" * 100_000), event(2)])
    assert [row["EventOriginalUid"] for row in found] == [f"acme.atlassian.net/{n}" for n in range(3)]
    assert found[0] == rows([event(0)])[0]
