import copy
import io
import itertools
import json

import fastavro
import polars as pl
import pytest
from fastavro.schema import expand_schema
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

import schemas
from relay.avro.codec import Encoder, fingerprint
from tests.support.compatibility import unreadable
from tests.support.generated import records

AUDIT_EVENT = schemas.load("audit_event")


def nodes(node):
    """Yield every JSON object within a schema."""
    if isinstance(node, dict):
        yield node
    for inner in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from nodes(inner)


def versions(subject):
    return [*schemas.released(subject), schemas.load(subject)]


@pytest.mark.parametrize("subject", schemas.SUBJECTS)
def test_every_field_and_record_has_a_doc(subject):
    for node in nodes(schemas.load(subject)):
        if "name" in node and "symbols" not in node:  # the field of an enum explains it
            assert node.get("doc", "").endswith("."), f"{node['name']} has no doc that is a sentence"


@pytest.mark.parametrize("subject", schemas.SUBJECTS)
def test_the_current_schema_is_the_newest_release(subject):
    assert schemas.load(subject) == schemas.released(subject)[-1]


@pytest.mark.parametrize("subject", schemas.SUBJECTS)
def test_releases_differ_on_the_wire_or_are_one(subject):
    """Releases have different fingerprints, which do not depend on docs and defaults."""
    released = schemas.released(subject)
    assert len({fingerprint(schema) for schema in released}) == len(released)


FIRST_PUBLISHED = {"organization": 1, "checkpoint": 3, "day_ledger": 1, "status": 8}
"""Versions before these were never in a release of the relay, or no release before them read newer ones."""


@pytest.mark.parametrize("subject", FIRST_PUBLISHED)
def test_later_versions_only_append_fields(subject):
    """Older releases read what they know of a newer record, and write the rest back (relay.avro.codec)."""
    published = schemas.released(subject)[FIRST_PUBLISHED[subject] - 1 :]
    for older, newer in itertools.pairwise(published):
        shared = newer["fields"][: len(older["fields"])]
        assert [without(field, "doc") for field in shared] == [
            without(field, "doc") for field in older["fields"]
        ]


@pytest.mark.parametrize("subject", schemas.SUBJECTS)
def test_every_release_reads_every_other(subject):
    """Each release reads data of each other one, as FULL_TRANSITIVE requires."""
    for writer, reader in itertools.product(versions(subject), repeat=2):
        assert unreadable(writer, reader) == []


@pytest.mark.parametrize("subject", schemas.SUBJECTS)
@given(data=st.data())
@settings(max_examples=30)
def test_every_release_reads_any_record_of_every_other(subject, data):
    writer, reader = data.draw(st.tuples(*2 * [st.sampled_from(versions(subject))]))
    record = data.draw(records(writer))
    body = io.BytesIO(Encoder(writer, fingerprint(writer)).encode(record)[10:])
    decoded = fastavro.schemaless_reader(body, without(writer, "logicalType"), without(reader, "logicalType"))
    assert set(decoded) == {field["name"] for field in reader["fields"]}


def without(schema, *keys):
    schema = copy.deepcopy(schema)
    for node, key in itertools.product(list(nodes(schema)), keys):
        node.pop(key, None)
    return schema


def changed(change):
    schema = copy.deepcopy(AUDIT_EVENT)
    change({field["name"]: field for field in schema["fields"]}, schema["fields"])
    return schema


INCOMPATIBLE = {
    "a required field is removed": lambda fields, listed: listed.remove(fields["id"]),
    "a field without default is added": lambda _, listed: listed.append({"name": "x", "type": "long"}),
    "a field is renamed": lambda fields, _: fields["id"].update(name="number"),
    "a type is narrowed": lambda fields, _: fields["id"].update(type="int"),
    "a type is widened": lambda fields, _: fields["id"].update(type="double"),
    "null is no longer possible": lambda fields, _: fields["summary"].update(type="string", default=""),
    "a union grows": lambda fields, _: fields["summary"].update(type=["null", "string", "long"]),
    "a record is renamed": lambda fields, _: fields["changedValues"]["type"][1]["items"].update(name="Value"),
    "the items of an array change": lambda fields, _: fields["associatedItems"]["type"][1].update(
        items="string"
    ),
}


@pytest.mark.parametrize("change", INCOMPATIBLE.values(), ids=INCOMPATIBLE)
def test_an_incompatible_change_is_found(change):
    after = changed(change)
    assert unreadable(AUDIT_EVENT, after) or unreadable(after, AUDIT_EVENT)


COMPATIBLE = {
    "an optional field is added": lambda _, listed: listed.append(
        {"name": "x", "type": ["null", "string"], "default": None}
    ),
    "an optional field is removed": lambda fields, listed: listed.remove(fields["eventSource"]),
    "an enum with a default grows": lambda fields, _: fields["mode"]["type"]["symbols"].append("replayed"),
    "fields change places": lambda _, listed: listed.insert(3, listed.pop(0)),
    "docs change": lambda fields, _: fields["id"].update(doc="Other words."),
}


@pytest.mark.parametrize("change", COMPATIBLE.values(), ids=COMPATIBLE)
def test_a_compatible_change_is_allowed(change):
    after = changed(change)
    assert unreadable(AUDIT_EVENT, after) == []
    assert unreadable(after, AUDIT_EVENT) == []


def test_audit_events_have_no_map_because_polars_reads_none():
    assert [node for node in nodes(AUDIT_EVENT) if node.get("type") == "map"] == []


def block(events):
    """Return an Avro file with one block of the bare bodies, as the consumer builds it.

    Types used twice are expanded, and defaults are removed, because polars refuses an enum field with a default.
    """
    encoder = Encoder(AUDIT_EVENT, fingerprint(AUDIT_EVENT))
    bodies = b"".join(encoder.encode(event)[10:] for event in events)
    written_out = json.dumps(expand_schema(without(AUDIT_EVENT, "logicalType", "default"))).encode()
    meta = avro({"type": "map", "values": "bytes"}, {"avro.schema": written_out, "avro.codec": b"null"})
    sync = 16 * b"s"
    return b"Obj\x01" + meta + sync + avro("long", len(events)) + avro("long", len(bodies)) + bodies + sync


def avro(schema, value):
    out = io.BytesIO()
    fastavro.schemaless_writer(out, schema, value)
    return out.getvalue()


@given(st.lists(records(AUDIT_EVENT), min_size=1, max_size=5))
@settings(max_examples=30)
def test_polars_reads_a_block_of_encoded_events(events):
    frame = pl.read_avro(io.BytesIO(block(events)))
    assert frame.columns == [field["name"] for field in AUDIT_EVENT["fields"]]
    schema = {**frame.schema, "mode": pl.String}
    assert_frame_equal(frame.with_columns(pl.col("mode").cast(pl.String)), pl.DataFrame(events, schema))
