import copy
import io

import fastavro
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consumer.decoding.columns import decode
from consumer.decoding.event_schema import EVENT_COLUMNS, column_types, writer_schema
from relay.avro.codec import frame
from relay.avro.parsed_schema import parsed_schema
from tests.support.messages import (
    AUDIT_EVENT,
    REF,
    ForeignSchemaEncoder,
    Message,
    event,
    event_records,
    message,
)
from tests.support.schema_evolutions import EventWriter, evolutions

TIMES = ("created", "collected")


small_events = event_records.map(lambda each: {**each, "id": each["id"] % 2**31})
"""An id may have become an int, which Avro resolves to a long."""


def encoded(schema, record):
    output = io.BytesIO(frame(REF))
    output.seek(0, io.SEEK_END)
    fastavro.schemaless_writer(output, parsed_schema(schema), record)
    return output.getvalue()


@given(evolutions(AUDIT_EVENT), st.data())
@settings(max_examples=150)
def test_every_newer_writer_that_avro_resolves_is_read(newer, data):
    """No event of a newer version becomes a dead letter, whatever was added, renamed, moved or widened, at any depth."""
    writer = EventWriter(data.draw, AUDIT_EVENT, newer)
    messages, expected = [], []
    for each in data.draw(st.lists(small_events, min_size=1, max_size=3)):
        written, seen = writer.write(each)
        messages.append(Message(encoded(newer, written), seen["organization"].encode(), seen["collected"]))
        expected.append({name: seen.get(name) for name in EVENT_COLUMNS})

    decoded = decode(messages, {REF: newer}, ())

    assert decoded.undecodable == []
    assert decoded.frame.schema == EVENT_COLUMNS
    assert decoded.frame.with_columns(pl.col(TIMES).cast(pl.Int64)).to_dicts() == expected


@pytest.mark.parametrize(
    "kind",
    ["boolean", "double", {"type": "int", "logicalType": "date"}, {"type": "map", "values": "string"}],
    ids=str,
)
@pytest.mark.parametrize("holder", ["objectItem", "changedValues"])
def test_a_field_that_a_newer_release_adds_within_an_item_costs_no_event(kind, holder):
    newer = copy.deepcopy(AUDIT_EVENT)
    (field,) = (each for each in newer["fields"] if each["name"] == holder)
    record = field["type"][1].get("items", field["type"][1])
    record["fields"].append({"name": "novelty", "type": ["null", kind], "default": None})
    value = {"name": "site-admins"} if holder == "objectItem" else [{"fieldName": "Role"}]
    written = [event(1, **{holder: value}), event(2)]

    decoded = decode([message(each, ForeignSchemaEncoder(newer, REF)) for each in written], {REF: newer}, ())

    assert decoded.undecodable == []
    assert decoded.frame["id"].to_list() == [1, 2]
    assert "site-admins" in str(decoded.frame[holder].to_list()) or "Role" in str(
        decoded.frame[holder].to_list()
    )


def test_only_a_version_with_types_that_have_no_columns_is_read_slowly():
    """Other versions are read thousands of records at a time."""
    plain, added = copy.deepcopy(AUDIT_EVENT), copy.deepcopy(AUDIT_EVENT)
    plain["fields"].append({"name": "flag", "type": ["null", "boolean"], "default": None})
    added["fields"].append({"name": "labels", "type": {"type": "map", "values": "string"}, "default": {}})

    assert writer_schema(plain).columnar
    assert not writer_schema(added).columnar


@pytest.mark.parametrize("value", [5, None, "text"])
def test_a_value_of_a_branch_that_events_do_not_have_costs_its_own_record(value):
    """A summary that became a string or a number: the strings are read."""
    newer = copy.deepcopy(AUDIT_EVENT)
    (field,) = (each for each in newer["fields"] if each["name"] == "summary")
    field["type"] = ["null", "long", "string"]
    encoder = ForeignSchemaEncoder(newer, REF)
    written = [event(1, summary="before"), event(2, summary=value), event(3, summary="after")]

    decoded = decode([message(each, encoder) for each in written], {REF: newer}, ())

    assert decoded.frame["id"].to_list() == ([1, 3] if value == 5 else [1, 2, 3])
    assert [each.reason for each in decoded.undecodable] == ["its summary has another type"] * (value == 5)


def test_a_null_in_a_field_that_an_event_must_have_is_found_in_both_ways():
    """A newer writer may declare the id nullable; a null in it is no event."""
    newer = copy.deepcopy(AUDIT_EVENT)
    newer["fields"][1]["type"] = ["null", "long"]
    encoder = ForeignSchemaEncoder(newer, REF)
    messages = [message(event(number), encoder) for number in range(40)]
    messages[7] = message({**event(7), "id": None}, encoder)

    decoded = decode(messages, {REF: newer}, ())

    assert writer_schema(newer).columnar
    assert [(each.index, each.reason) for each in decoded.undecodable] == [(7, "it has no id")]
    assert decoded.frame.height == 39


def test_a_time_without_its_logical_type_is_read_as_milliseconds():
    """Avro resolves a plain long to a time, and both ways of reading agree."""
    newer = copy.deepcopy(AUDIT_EVENT)
    for field in newer["fields"]:
        if field["name"] in TIMES:
            field["type"] = "long"
    written = event(1)

    decoded = decode([message(written, ForeignSchemaEncoder(newer, REF))], {REF: newer}, ())

    assert writer_schema(newer).columnar
    assert decoded.frame["created"].cast(pl.Int64).to_list() == [written["created"]]
    assert decoded.frame.schema == EVENT_COLUMNS


def test_an_event_schema_of_our_own_has_columns_for_each_type():
    """A type that the relay gave to a field, without a column for it, is found at the start."""
    grown = copy.deepcopy(AUDIT_EVENT)
    grown["fields"].append({"name": "flag", "type": "boolean", "default": False})
    with pytest.raises(NotImplementedError, match="boolean"):
        column_types(grown)
