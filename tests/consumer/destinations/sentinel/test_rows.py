import json

import pytest
from hypothesis import example, given, settings

from consumer.decoding.columns import decode
from consumer.destinations.azure_ingestion.body import MAX_BODY_BYTES, MAX_VALUE_BYTES
from consumer.destinations.sentinel import rows as sentinel
from consumer.destinations.sentinel.rows import COLUMNS
from tests.support.expected_rows import STRINGS, expected, iso, present
from tests.support.messages import WRITER_SCHEMAS, event, event_lists, message

FIRST_MS, LAST_MS = -62_135_596_800_000, 253_402_300_799_999


def rows(events):
    return [
        json.loads(row)
        for row in sentinel.encode_rows(decode([message(e) for e in events], WRITER_SCHEMAS).frame)
    ]


HOSTILE = '"summary":null,"x":null}\\",\\"name\\":null,\u0000\u2028\x7f'
ITEM = {"id": "1", "name": "n", "typeName": "USER", "parentId": None, "parentName": None}
CHANGE = {"fieldName": "f", "changedFrom": None, "changedTo": "t"}
LONELY = {"id": None, "name": None, "typeName": None, "parentId": None, "parentName": None}


@pytest.mark.parametrize("name", ["unmodeled", "remoteAddress", "objectItem", "changedValues", "variant"])
def test_a_column_that_most_events_lack_is_written_for_the_one_that_has_it(name):
    filled = event(
        3,
        unmodeled='{"a":1}',
        remoteAddress="203.0.113.9",
        variant="0a",
        objectItem=ITEM,
        changedValues=[CHANGE],
    )
    bare = dict.fromkeys(("unmodeled", "remoteAddress", "objectItem", "changedValues", "variant"))
    events = [event(1, **bare), event(2, **bare), event(3, **bare) | {name: filled[name]}]
    assert rows(events) == [expected(each) for each in events]
    assert rows(events[:2]) == [expected(each) for each in events[:2]]


@given(event_lists)
@example([event(1, summary=HOSTILE, objectItem={**LONELY, "name": HOSTILE})])
@example([event(2**62 + 1, objectItem=LONELY, associatedItems=[LONELY, LONELY], changedValues=[])])
@example([event(1, created=FIRST_MS, description=""), event(2, created=LAST_MS)])
@settings(max_examples=50)
def test_a_row_says_what_the_event_says_under_microsofts_names(events):
    plain = [{**each, "created": each["created"] % LAST_MS} for each in events]
    plain = [{**each, "collected": each["collected"] % LAST_MS} for each in plain]

    assert rows(plain) == [expected(each) for each in plain]
    assert all(row.keys() <= COLUMNS.keys() for row in rows(plain))


@given(event_lists)
@example([event(1, created=2**63 - 1, unmodeled='{"a": 1}'), event(2, created=-(2**63))])
@example([event(1, created=LAST_MS + 1), event(2, created=FIRST_MS - 1, unmodeled="no JSON")])
@settings(max_examples=40)
def test_a_time_that_no_datetime_holds_is_kept_as_jira_sent_it(events):
    for row, each in zip(rows(events), events, strict=True):
        for column, name in (("EventCreationTime", "created"), ("CollectedTime", "collected")):
            fits = FIRST_MS <= each[name] <= LAST_MS
            assert row.get(column) == (iso(each[name]) if fits else None)
            assert fits or json.loads(row["Unmodeled"])[name] == each[name]


def test_unmodeled_fields_stay_beside_a_time_that_no_datetime_holds():
    (row, other) = rows(
        [event(1, created=2**60, unmodeled='{"a": [1]}'), event(2, created=2**60, unmodeled="x")]
    )
    assert json.loads(row["Unmodeled"]) == {"a": [1], "created": 2**60}
    assert json.loads(other["Unmodeled"]) == {"unmodeled": "x", "created": 2**60}


def items(count, length):
    return [{**LONELY, "name": f"{number} " + "é" * length} for number in range(count)]


def changes(count, length):
    return [
        {"fieldName": f"field {number}", "changedFrom": None, "changedTo": "x" * length}
        for number in range(count)
    ]


@pytest.mark.parametrize("size", [MAX_VALUE_BYTES - 1, MAX_VALUE_BYTES])
def test_a_value_of_64_kilobytes_passes_whole(size):
    whole = event(1, description="é" + "x" * (size - 2))
    assert rows([whole]) == [expected(whole)]


@pytest.mark.parametrize(
    "text", ["x" * 65_537, "é" * 40_000, "\u0000" * 70_000, '"' * 300_000, "🎈" * 250_000]
)
def test_a_longer_text_is_truncated_with_a_mark_that_names_its_column(text):
    long = event(1, description=text, objectItem={**LONELY, "name": text})
    row = rows([event(0), long, event(2)])[1]

    for column in ("EventDescription", "ObjectItemName"):
        value = row[column]
        kept_text, _, mark = value.rpartition("…")
        assert len(value.encode()) <= MAX_VALUE_BYTES
        assert text.startswith(kept_text)
        assert len(kept_text.encode()) > MAX_VALUE_BYTES - 200
        assert mark == f" [{column} was cut by jira-relay: {len(text.encode())} bytes]"
    assert "objectItem was cut by jira-relay" in row["objectItem"]["name"]


@pytest.mark.parametrize(
    ("name", "column", "value"),
    [
        ("associatedItems", "AssociatedItems", items(3000, 10)),
        ("associatedItems", "AssociatedItems", items(3, 100_000)),
        ("associatedItems", "AssociatedItems", items(900, 900)),
        ("changedValues", "ChangedValues", changes(5000, 1)),
        ("changedValues", "ChangedValues", changes(2, 70_000)),
    ],
)
def test_a_long_list_keeps_its_order_its_shape_and_a_mark(name, column, value):
    row = rows([event(1, **{name: value})])[0]
    kept = row[column]

    text = json.dumps(kept, ensure_ascii=False)
    assert len(text.encode()) <= MAX_VALUE_BYTES
    assert f"{column} was cut by jira-relay" in text
    first = present(value[0])
    assert kept[0].keys() == first.keys()
    assert all(isinstance(each, dict) for each in kept)


def test_a_row_larger_than_a_body_is_truncated_until_it_fits():
    """Every value within its bound, and yet all of them together too much."""
    others = ("organization", "mode", "replay_id")
    texts = {field: "\u0001" * 64_000 for field in STRINGS.values() if field not in others}
    (row,) = sentinel.encode_rows(decode([message(event(1, **texts))], WRITER_SCHEMAS).frame)

    assert len(row) + 2 <= MAX_BODY_BYTES
    truncated = json.loads(row)
    assert all(
        f"[{column} was cut" in truncated[column] for column, field in STRINGS.items() if field in texts
    )
    assert truncated["EventId"] == 1


def test_no_events_are_no_rows():
    assert list(sentinel.encode_rows(decode([], WRITER_SCHEMAS).frame)) == []
