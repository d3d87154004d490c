"""Rolling upgrades: records of the internal topics that a newer release wrote, whose schema this one does not have."""

import copy
import io
from dataclasses import replace
from types import SimpleNamespace

import fastavro
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import schemas
from producer.state import checkpoint as checkpoints
from relay.avro.codec import NEWER_FIELDS, InternalCodec, UnknownSchema, fingerprint, frame
from relay.avro.parsed_schema import parsed_schema
from relay.organizations import OrganizationCodec
from relay.status.model import from_record, take_over, to_record
from relay.status.reader import decode_status
from tests.support.generated import records
from tests.support.schema_evolutions import appended_fields

GROWING = ("organization", "checkpoint", "day_ledger", "status")


def next_version(subject, fields):
    schema = copy.deepcopy(schemas.load(subject))
    schema["fields"] += fields
    return schema


def written(schema, record):
    output = io.BytesIO(frame(fingerprint(schema)))
    output.seek(0, io.SEEK_END)
    fastavro.schemaless_writer(output, parsed_schema(schema), record)
    return output.getvalue()


def read(schema, message):
    assert message[:10] == frame(fingerprint(schema))
    return fastavro.schemaless_reader(io.BytesIO(message[10:]), parsed_schema(schema), None)


@pytest.mark.parametrize("subject", GROWING)
@given(data=st.data())
@settings(max_examples=60)
def test_an_older_release_reads_a_newer_record_and_writes_it_back_whole(subject, data):
    """Whatever the next version appends: the older release sees its own fields, and loses none of the newer ones."""
    newer = next_version(subject, data.draw(appended_fields))
    record = data.draw(records(newer))
    codec = InternalCodec(subject)

    seen = codec.decode(written(newer, record))

    known = {field["name"] for field in schemas.load(subject)["fields"]}
    assert {name: seen[name] for name in known} == {name: record[name] for name in known}
    assert seen.keys() == known | {NEWER_FIELDS}
    assert read(newer, codec.encode(seen)) == record


FLAGS = [
    {"name": "dry_run", "type": ["null", "boolean"], "default": None},
    {"name": "note", "type": "string", "default": ""},
]


def test_an_older_command_line_changes_an_organization_and_keeps_its_newer_fields():
    newer, base = (
        next_version("organization", FLAGS),
        {"name": "acme", "url": "https://acme.example", "user": "u"},
    )
    record = {**base, "added": 1, "modified": 1, "revision": 1, "dry_run": True, "note": "pilot"}
    codec = OrganizationCodec()

    organization = codec.decode(written(newer, record))
    changed = read(newer, codec.encode(replace(organization, state="paused", revision=2)))

    assert (changed["state"], changed["revision"], changed["dry_run"], changed["note"]) == (
        "paused",
        2,
        True,
        "pilot",
    )
    assert "pilot" not in repr(organization)


def test_an_older_producer_moves_a_checkpoint_and_keeps_its_newer_fields():
    newer = next_version("checkpoint", FLAGS)
    times = dict.fromkeys(("window_end", "live_since", "day_mark", "week_mark", "written"), 5)
    codec = InternalCodec("checkpoint")

    checkpoint = checkpoints.from_record(
        codec.decode(written(newer, {**times, "organization": "acme", "dry_run": True}))
    )
    moved = read(newer, codec.encode(replace(checkpoint, window_end=9, written=8).to_record()))

    assert (moved["window_end"], moved["written"], moved["dry_run"]) == (9, 8, True)


@pytest.mark.parametrize("subject", ["change", "audit_event"])
def test_a_newer_record_of_another_topic_names_the_upgrade(subject):
    """Nothing is written back there, and no key proves the record."""
    with pytest.raises(UnknownSchema, match="Upgrade this relay"):
        InternalCodec(subject).decode(b"\xc3\x01" + bytes(8) + b"\x00" * 40)


@pytest.mark.parametrize("subject", [each for each in schemas.SUBJECTS if each != "audit_event"])
@given(data=st.data())
@settings(max_examples=10)
def test_this_release_reads_what_every_earlier_one_wrote(subject, data):
    """All topics beside those of events, whose schemas consumers look up: a topic keeps old records for years."""
    earlier = data.draw(st.sampled_from(schemas.released(subject)))
    seen = InternalCodec(subject).decode(written(earlier, data.draw(records(earlier))))
    assert seen.keys() == {field["name"] for field in schemas.load(subject)["fields"]}
    if subject == "status":
        from_record(seen)


def test_an_older_console_shows_the_status_of_a_newer_process():
    """It sees the fields that it knows. A record of an unknown schema that is no status is left out, as one that cannot be read."""
    newer = next_version("status", FLAGS)
    status = take_over("failing", 1_790_000_000_000, reason="login").with_counts(1_790_000_000_000, events=3)
    message = written(newer, {**to_record(status), "dry_run": True, "note": "new"})
    assert decode_status(kafka_record(message)) == status
    for body in (bytes(300), b"\x02A" + bytes(300)):
        assert decode_status(kafka_record(b"\xc3\x01" + bytes(8) + body)) is None


def kafka_record(value):
    return SimpleNamespace(key=b"producer/acme", value=value)


@given(st.binary(max_size=60))
def test_bytes_of_an_unknown_schema_are_a_record_or_an_error(body):
    for subject in GROWING:
        try:
            seen = InternalCodec(subject).decode(b"\xc3\x01" + bytes(8) + body)
        except UnknownSchema:
            continue
        assert seen[NEWER_FIELDS]
