import copy
import struct

import avro.schema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import schemas
from relay.avro.codec import (
    BadBody,
    Encoder,
    Fingerprint,
    InternalCodec,
    NotAvro,
    SchemaId,
    Unencodable,
    UnknownSchema,
    decode_body,
    fingerprint,
    split_frame,
)
from tests.support.generated import records

AUDIT_EVENT = schemas.load("audit_event")
PRINT = fingerprint(AUDIT_EVENT)
ENCODER = Encoder(AUDIT_EVENT, SchemaId(7))
SMALLEST = {"organization": "acme.atlassian.net", "id": 1, "created": 2, "collected": 3}


def event(**fields):
    return {**SMALLEST, **fields}


def test_an_id_is_framed_as_confluent_does():
    message = Encoder(AUDIT_EVENT, SchemaId(0x01020304)).encode(SMALLEST)
    assert message[:5] == b"\x00\x01\x02\x03\x04"
    assert split_frame(message) == (SchemaId(0x01020304), 5)


def test_a_fingerprint_is_framed_as_a_single_object():
    message = Encoder(AUDIT_EVENT, PRINT).encode(SMALLEST)
    assert message[:2] == b"\xc3\x01"
    assert split_frame(message) == (PRINT, 10)


def test_the_fingerprint_is_little_endian():
    """The fingerprint of "null" is 63dd24e7cc258f8a, little-endian in a message (example of the Avro specification)."""
    assert fingerprint("null") == Fingerprint(bytes.fromhex("8a8f25cce724dd63"))


def without_logical_types(node):
    """Return the schema without logical types; Apache's Python library forgets to write {"type": "long"} as "long", as
    the specification requires.
    """
    if isinstance(node, list):
        return [without_logical_types(each) for each in node]
    if isinstance(node, dict):
        return (
            node["type"]
            if "logicalType" in node
            else {key: without_logical_types(value) for key, value in node.items()}
        )
    return node


@pytest.mark.parametrize("subject", schemas.SUBJECTS)
def test_the_fingerprint_is_what_apache_avro_computes(subject):
    theirs = avro.schema.make_avsc_object(without_logical_types(schemas.load(subject))).fingerprint(
        "CRC-64-AVRO"
    )
    assert fingerprint(schemas.load(subject)).value == theirs


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"\x00",
        b"\x00\x00\x00\x00",
        b"\xc3",
        b"\xc3\x01",
        b"\xc3\x01" + 7 * b"x",
        b"\xc3\x02" + 8 * b"x",
        b"{}",
    ],
)
def test_a_message_without_a_whole_reference_is_not_avro(message):
    with pytest.raises(NotAvro):
        split_frame(message)


def test_a_negative_schema_id_is_not_avro():
    with pytest.raises(NotAvro, match="-2"):
        split_frame(struct.pack(">bi", 0, -2) + b"body")


@given(st.binary(max_size=30))
def test_any_bytes_either_have_a_reference_or_are_not_avro(message):
    try:
        ref, offset = split_frame(message)
    except NotAvro:
        return
    assert Encoder(AUDIT_EVENT, ref).encode(SMALLEST)[:offset] == message[:offset]


@pytest.mark.parametrize("subject", schemas.SUBJECTS)
@given(data=st.data())
@settings(max_examples=30)
def test_decoding_returns_the_encoded_record(subject, data):
    schema = schemas.load(subject)
    record = data.draw(records(schema))
    message = Encoder(schema, PRINT).encode(record)
    assert decode_body(schema, message[split_frame(message)[1] :]) == record


def test_times_stay_ints_even_outside_the_years_of_a_datetime():
    far = event(created=2**62, collected=-(2**62))
    decoded = decode_body(AUDIT_EVENT, ENCODER.encode(far)[5:])
    assert (decoded["created"], decoded["collected"]) == (2**62, -(2**62))


def test_decoding_does_not_change_the_schema():
    schema = copy.deepcopy(AUDIT_EVENT)
    decode_body(schema, ENCODER.encode(SMALLEST)[5:])
    assert schema == AUDIT_EVENT


def test_missing_fields_get_their_defaults():
    decoded = decode_body(AUDIT_EVENT, ENCODER.encode(SMALLEST)[5:])
    assert decoded["mode"] == "live"
    assert decoded["associatedItems"] is None


@given(records(AUDIT_EVENT))
@settings(max_examples=20)
def test_a_body_cut_anywhere_is_rejected(record):
    body = ENCODER.encode(record)[5:]
    for end in range(len(body)):
        with pytest.raises(BadBody):
            decode_body(AUDIT_EVENT, body[:end])


@given(records(AUDIT_EVENT), st.binary(min_size=1, max_size=5))
@settings(max_examples=30)
def test_bytes_left_over_are_rejected(record, more):
    with pytest.raises(BadBody, match="left over"):
        decode_body(AUDIT_EVENT, ENCODER.encode(record)[5:] + more)


@pytest.mark.parametrize("subject", schemas.SUBJECTS)
@given(body=st.binary(max_size=200))
@settings(max_examples=100)
def test_garbage_is_a_record_or_rejected(subject, body):
    try:
        decoded = decode_body(schemas.load(subject), body)
    except BadBody:
        return
    assert isinstance(decoded, dict)


@given(records(AUDIT_EVENT), st.data())
@settings(max_examples=100)
def test_a_corrupted_body_is_a_record_or_rejected(record, data):
    body = bytearray(ENCODER.encode(record)[5:])
    for _ in range(data.draw(st.integers(1, 3))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    try:
        decoded = decode_body(AUDIT_EVENT, bytes(body))
    except BadBody:
        return
    assert isinstance(decoded, dict)


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (event(id="7"), "AuditEvent.id"),
        (event(id=1.5), "AuditEvent.id"),
        (event(id=True), "AuditEvent.id"),
        (event(id=2**63), "AuditEvent.id"),
        (event(created=None), "AuditEvent.created"),
        (event(organization=b"x"), "AuditEvent.organization"),
        (event(mode="sometimes"), "AuditEvent.mode"),
        (event(summary=5), "AuditEvent.summary"),
        (event(summary="\ud800"), "AuditEvent.summary"),
        (event(objectItem={"id": 1}), "AuditEvent.objectItem"),
        (event(objectItem={"nme": "x"}), "AuditEvent.objectItem"),
        (event(associatedItems=[{"id": "1"}, {"id": 1}]), "AuditEvent.associatedItems"),
        (event(sumary="x"), "no field sumary"),
        ({"organization": "a", "id": 1, "created": 2}, "lacks the field collected"),
    ],
)
def test_the_error_of_a_misfit_names_the_field(record, reason):
    with pytest.raises(Unencodable, match=reason):
        ENCODER.encode(record)


def test_the_error_of_a_misfit_does_not_show_the_value():
    with pytest.raises(Unencodable) as caught:
        ENCODER.encode(event(mode="hunter2"))
    assert "hunter2" not in str(caught.value)
    assert caught.value.__suppress_context__


@pytest.mark.parametrize("subject", schemas.SUBJECTS)
@given(data=st.data())
@settings(max_examples=20)
def test_the_internal_codec_returns_the_encoded_record(subject, data):
    internal = InternalCodec(subject)
    record = data.draw(records(schemas.load(subject)))
    assert internal.decode(internal.encode(record)) == record


OLDER = {"type": "record", "name": "Thing", "fields": [{"name": "id", "type": "long"}]}
NEWER = {
    **OLDER,
    "fields": [
        {"name": "why", "type": ["null", "string"], "default": None},
        {"name": "id", "type": "long"},
        {"name": "since", "type": {"type": "long", "logicalType": "timestamp-millis"}, "default": 7},
        {"name": "parts", "type": {"type": "array", "items": "string"}, "default": []},
        {"name": "raw", "type": "bytes", "default": "\u00ff"},
    ],
}


def test_a_record_of_an_older_release_gets_defaults_for_new_fields(monkeypatch):
    monkeypatch.setattr(schemas, "load", lambda _: NEWER)
    monkeypatch.setattr(schemas, "released", lambda _: [OLDER, NEWER])
    message = Encoder(OLDER, fingerprint(OLDER)).encode({"id": 1})
    assert InternalCodec("thing").decode(message) == {
        "why": None,
        "id": 1,
        "since": 7,
        "parts": [],
        "raw": b"\xff",
    }


def test_the_default_of_a_bytes_field_is_bytes():
    message = Encoder(NEWER, fingerprint(NEWER)).encode({"id": 1})
    assert decode_body(NEWER, message[10:])["raw"] == b"\xff"


def test_an_unreleased_schema_is_named():
    with pytest.raises(UnknownSchema, match=fingerprint(OLDER).value.hex()) as caught:
        InternalCodec("checkpoint").decode(Encoder(OLDER, fingerprint(OLDER)).encode({"id": 1}))
    assert caught.value.ref == fingerprint(OLDER)


def test_an_internal_record_never_carries_a_registry_id():
    with pytest.raises(UnknownSchema, match="schema id 7"):
        InternalCodec("checkpoint").decode(b"\x00\x00\x00\x00\x07")


@given(st.binary(max_size=40), st.booleans())
def test_garbage_on_an_internal_topic_never_crashes(garbage, framed):
    internal = InternalCodec("status")
    head = b"\xc3\x01" + fingerprint(schemas.load("status")).value if framed else b""
    try:
        internal.decode(head + garbage)
    except (NotAvro, UnknownSchema, BadBody):
        return
