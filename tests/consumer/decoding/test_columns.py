import copy
from dataclasses import replace

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consumer.decoding.columns import decode, schema_references
from consumer.decoding.event_schema import EVENT_COLUMNS, SECOND_OPINIONS, writer_schema
from consumer.decoding.schema_group import MAX_SINGLY, decode_singly, decode_together, schema_group
from relay.avro.codec import Encoder, SchemaId
from tests.support.messages import (
    AUDIT_EVENT,
    REF,
    WRITER_SCHEMAS,
    ForeignSchemaEncoder,
    Message,
    event,
    event_lists,
    message,
    single_object,
)

TIMES = ("created", "collected")


def as_events(frame):
    """Rows as `decode_body` would give them."""
    return frame.with_columns(pl.col(TIMES).cast(pl.Int64)).to_dicts()


def whole(events):
    """Events with every field, absent ones None."""
    return [{name: each.get(name) for name in EVENT_COLUMNS} for each in events]


def decoded_singly(messages, schema=AUDIT_EVENT):
    return decode_singly(schema_group(messages, range(len(messages)), 5), writer_schema(schema))


@given(event_lists)
@settings(max_examples=60)
def test_both_ways_give_what_was_written(written):
    messages = [message(each) for each in written]

    decoded = decode(messages, WRITER_SCHEMAS)
    singly, undecodable = decoded_singly(messages)

    assert as_events(decoded.frame) == written
    assert (decoded.decoded_singly, decoded.undecodable, undecodable) == (0, [], [])
    assert decoded.frame.equals(singly)
    assert decoded.frame.schema == singly.schema == EVENT_COLUMNS


def changed(body, at, cut, put):
    at = at % (len(body) + 1)
    return body[:at] + put + body[at + cut :]


@given(event_lists, st.data(), st.integers(0, 5000), st.integers(0, 40), st.binary(max_size=40))
@settings(max_examples=120)
def test_a_changed_body_is_judged_alone_and_touches_no_neighbour(written, data, at, cut, put):
    """Whatever happens to one body, its row or its refusal is what reading it alone gives, and all others are whole.

    Two things apart: polars takes a branch that a union does not have for the one that is not null; alone, it is refused. And
    where no neighbour fits the schema, it may be the wrong one: a body that lost its last byte can fit an older version.
    """
    messages = [message(each) for each in written]
    changed_index = data.draw(st.integers(0, len(messages) - 1))
    value = messages[changed_index].value
    messages[changed_index].value = value[:5] + changed(value[5:], at, cut, put)

    decoded = decode(messages, WRITER_SCHEMAS)
    readings = [
        decoded_singly([messages[changed_index]], each)
        for each in (AUDIT_EVENT, *(SECOND_OPINIONS if len(written) == 1 else ()))
    ]
    alone, undecodable = next((each for each in readings if not each[1]), readings[0])

    others = [each for index, each in enumerate(written) if index != changed_index]
    kept = dict(zip(decoded.indices, as_events(decoded.frame), strict=True))
    assert [row for index, row in kept.items() if index != changed_index] == others
    if not any("IndexError" in each.reason for _, refused in readings for each in refused):
        assert ([kept[changed_index]] if changed_index in kept else []) == as_events(alone)
        assert [each.index for each in decoded.undecodable] == [changed_index] * len(undecodable)


def test_a_lone_body_that_fits_an_older_version_alone_is_read_by_it():
    """A registry may name the wrong version; with a neighbour that fits the named one, the body is corrupt."""
    cut = message(event(0, created=0, collected=0, organization="0"))
    cut.value = cut.value[:-1]

    decoded = decode([cut], WRITER_SCHEMAS)
    assert (decoded.indices, decoded.undecodable) == ([0], [])
    beside = decode([cut, message(event(1))], WRITER_SCHEMAS)
    assert (beside.indices, [each.index for each in beside.undecodable]) == ([1], [0])


def test_a_body_that_swallows_its_neighbour_is_found():
    """Where a body's last string reaches exactly to the end of the next body, no byte is left over anywhere."""
    messages = [message(event(number, unmodeled="x")) for number in range(40)]
    second = messages[21].value[5:]
    longer = bytearray(messages[20].value)
    longer[-2] = (1 + len(second)) * 2 & 0x7F | 0x80
    messages[20].value = bytes(longer[:-1]) + bytes([(1 + len(second)) * 2 >> 7]) + b"x"

    decoded = decode(messages, WRITER_SCHEMAS)

    assert [each.index for each in decoded.undecodable] == [20]
    assert decoded.indices == [index for index in range(40) if index != 20]


def test_an_event_within_an_event_is_never_taken_for_one():
    """A truncated body followed by one that carries a whole event of the same key and time in its text."""
    inner = event(5, created=60, collected=50)
    hidden = message(inner).value[5:].decode()
    outer = message(event(6, collected=50, summary=hidden))
    torn = message(event(4, unmodeled="y" * 30))
    torn.value = torn.value[:-30]

    decoded = decode([torn, outer, message(event(7))], WRITER_SCHEMAS)

    assert decoded.frame["id"].to_list() == [6, 7]
    assert [each.index for each in decoded.undecodable] == [0]


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "begins with nothing"),
        (b"", "begins with nothing"),
        (b'{"id": 1}', "begins with 7b22"),
        (b"\x00\x00", "ends after 2 bytes"),
        (b"\xc3\x01abc", "ends after 5 bytes"),
        (b"\x00\x00\x00\x00\x09" + bytes(50), "schema id 9 is in neither"),
        (b"\x00\x00\x00\x00\x07", "not a"),
        (b"\x00\x00\x00\x00\x07" + b"\xff" * 60, "not a"),
    ],
)
def test_garbage_is_refused_with_its_reason_and_nothing_else_is(value, reason):
    messages = [message(event(1)), Message(value, b"acme.atlassian.net", 5), message(event(2))]

    decoded = decode(messages, WRITER_SCHEMAS)

    (undecodable,) = decoded.undecodable
    assert undecodable.index == 1
    assert reason in undecodable.reason
    assert as_events(decoded.frame) == whole([event(1), event(2)])


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"key": b"other.atlassian.net"}, "organization is not its key"),
        ({"key": None}, "organization is not its key"),
        ({"timestamp": 12}, "time of collection is not its timestamp"),
    ],
)
def test_an_event_that_is_not_its_records_is_refused(fields, reason):
    messages = [message(event(1)), replace(message(event(2)), **fields)]

    decoded = decode(messages, WRITER_SCHEMAS)

    (undecodable,) = decoded.undecodable
    assert (undecodable.index, reason in undecodable.reason) == (1, True)
    assert decoded.indices == [0]


@pytest.mark.parametrize("read", [decode, lambda messages, _known: decoded_singly(messages)])
def test_a_topic_whose_times_are_kafkas_own_costs_no_event(read):
    """message.timestamp.type LogAppendTime is a fault of the setup, and no reason to refuse everything."""
    messages = [message(event(1)), replace(message(event(2)), timestamp=12, timestamp_type=1)]
    decoded = read(messages, WRITER_SCHEMAS)
    frame = decoded[0] if isinstance(decoded, tuple) else decoded.frame
    assert frame["id"].to_list() == [1, 2]


def without(schema, *names):
    """An older version of the schema."""
    older = copy.deepcopy(schema)
    older["fields"] = [field for field in older["fields"] if field["name"] not in names]
    return older


def newer():
    """A version to come: a field more, a member more in each item, a symbol more."""
    schema = copy.deepcopy(AUDIT_EVENT)
    fields = {field["name"]: field for field in schema["fields"]}
    fields["mode"]["type"]["symbols"].append("replayed")
    for holder in (fields["objectItem"]["type"][1], fields["changedValues"]["type"][1]["items"]):
        holder["fields"].insert(1, {"name": "extra", "type": ["null", "long"], "default": None})
    schema["fields"].insert(3, {"name": "severity", "type": ["null", "string"], "default": None})
    return schema


ITEM = {"id": "1", "name": "a", "typeName": "USER", "parentId": None, "parentName": None}
CHANGE = {"fieldName": "f", "changedFrom": None, "changedTo": "x"}
FULL = event(3, objectItem=ITEM, changedValues=[CHANGE], associatedItems=[ITEM, ITEM])


def test_writers_of_different_schemas_share_a_batch():
    old = without(AUDIT_EVENT, "unmodeled", "changedValues", "mode")
    old["fields"][1]["type"] = "int"
    of_old, old_ref = single_object(old)
    of_new = Encoder(newer(), SchemaId(8))
    known = {**WRITER_SCHEMAS, old_ref: old, SchemaId(8): newer()}
    first, third = event(1, unmodeled="{}"), event(9)
    second = {name: value for name, value in event(2).items() if name != "mode"}
    messages = [message(first), message(second, of_old), message(FULL, of_new), message(third)]

    decoded = decode(messages, known)

    assert schema_references(messages) == set(known)
    assert as_events(decoded.frame) == whole([first, {**second, "mode": "live"}, FULL, third])
    assert (list(decoded.indices), decoded.undecodable, decoded.decoded_singly) == ([0, 1, 2, 3], [], 0)


@pytest.mark.parametrize("schema", [newer(), without(AUDIT_EVENT, "summary", "associatedItems")])
def test_both_ways_read_other_versions_alike(schema):
    names = {field["name"] for field in schema["fields"]}
    encoder = Encoder(schema, REF)
    events = [FULL, event(4, objectItem=None), event(5, changedValues=[]), event(6, objectItem=ITEM)]
    written = [{name: each[name] for name in each if name in names} for each in events]
    messages = [message(each, encoder) for each in written]

    group = schema_group(messages, range(4), 5)
    singly, undecodable = decode_singly(group, writer_schema(schema))

    assert not undecodable
    assert decode_together(group, writer_schema(schema)).equals(singly)
    assert as_events(singly) == whole(written)


def foreign_schema(**kinds):
    return {"type": "record", "name": "Alien", "fields": [{"name": n, "type": t} for n, t in kinds.items()]}


MINIMAL_FIELDS = {"organization": "string", "id": "long", "created": "long", "collected": "long"}


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "string"},
        foreign_schema(organization="string", id="long", created="long"),
        foreign_schema(**{**MINIMAL_FIELDS, "id": "string"}),
        foreign_schema(**{**MINIMAL_FIELDS, "created": {"type": "long", "logicalType": "timestamp-micros"}}),
        foreign_schema(**MINIMAL_FIELDS, summary=["null", "long"]),
        foreign_schema(**MINIMAL_FIELDS, objectItem=["null", "Alien"]),
        foreign_schema(**MINIMAL_FIELDS, objectItem={"type": "map", "values": "string"}),
    ],
)
def test_a_schema_of_something_else_is_refused(schema):
    messages = [message(event(1)), replace(message(event(2)), value=b"\x00\x00\x00\x00\x08" + bytes(20))]

    decoded = decode(messages, {**WRITER_SCHEMAS, SchemaId(8): schema})

    assert [each.index for each in decoded.undecodable] == [1]
    assert "schema" in decoded.undecodable[0].reason
    assert list(decoded.indices) == [0]


NODE = {"type": "record", "name": "Node", "fields": [{"name": "next", "type": ["null", "Node"]}]}
FIXED = {"type": "fixed", "name": "Four", "size": 4}


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ({"type": "map", "values": "string"}, {"a": "b"}),
        (NODE, {"next": {"next": None}}),
        (["null", "long", "string"], "c"),
        (FIXED, b"abcd"),
    ],
)
def test_a_field_that_is_not_ours_never_keeps_an_event_from_being_read(kind, value):
    """What the columnar reader cannot hold costs speed alone."""
    schema = copy.deepcopy(AUDIT_EVENT)
    schema["fields"].append({"name": "novelty", "type": kind})
    written = [event(1, novelty=value), event(2, novelty=value)]
    messages = [message(each, ForeignSchemaEncoder(schema, REF)) for each in written]

    assert as_events(decode(messages, {REF: schema}).frame) == whole(written)


@pytest.mark.parametrize("bad", [0, 1, 499, 500, 998, 999])
def test_a_bad_record_slows_few_others(bad):
    messages = [message(event(number)) for number in range(1000)]
    messages[bad].value = messages[bad].value[:-1]
    decoded = decode(messages, WRITER_SCHEMAS)
    assert [each.index for each in decoded.undecodable] == [bad]
    assert decoded.frame.height == 999
    assert decoded.decoded_singly <= MAX_SINGLY


def test_nothing_gives_nothing():
    decoded = decode([], WRITER_SCHEMAS)
    assert (decoded.frame.height, decoded.frame.schema, decoded.undecodable) == (0, EVENT_COLUMNS, [])
    assert schema_references([]) == set()
