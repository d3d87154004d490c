import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer.decoding.avro_container import encode_varint
from consumer.decoding.event_times import _varints, live_created_ms
from relay.avro.codec import Encoder, fingerprint
from tests.support.messages import AUDIT_EVENT, Message, event, event_records, message

RELEASED = sorted((Path(__file__).parents[3] / "schemas/released/audit_event").glob("*.avsc"))


@given(event_records)
def test_the_creation_of_a_live_event_is_read(fields):
    """For any event, `created` is read if its mode is live, and nothing otherwise."""
    found = live_created_ms(message(fields))

    assert found == (fields["created"] if fields["mode"] == "live" else None)


@given(st.binary(max_size=60), st.binary(max_size=10))
def test_other_bytes_have_no_creation(value, key):
    """Any bytes are read without an error; without the key in front they are no event."""
    found = live_created_ms(Message(b"\x00\x00\x00\x00\x07" + value, key, -1))

    assert found is None or value.startswith(encode_varint(len(key)) + key)


def test_a_time_that_proves_nothing_is_not_used():
    """An event whose `collected` is not the timestamp of its record is of an unknown layout."""
    record = message(event(3))

    assert live_created_ms(record) == event(3)["created"]
    assert live_created_ms(replace(record, timestamp=record.timestamp + 1)) is None


@pytest.mark.parametrize("path", RELEASED, ids=lambda path: path.stem)
def test_every_release_begins_with_these_fields(path):
    """Each released version of the event begins with organization, id, created, collected and mode, live first."""
    fields = json.loads(path.read_text("utf-8"))["fields"][:5]

    assert [field["name"] for field in fields] == ["organization", "id", "created", "collected", "mode"]
    assert fields[4]["type"]["symbols"][0] == "live"


def test_each_framing_is_read():
    """A message without a registry, framed by a fingerprint, is read too."""
    record = message(event(3), Encoder(AUDIT_EVENT, fingerprint(AUDIT_EVENT)))

    assert live_created_ms(record) == event(3)["created"]


def test_an_endless_number_ends():
    """A number of a million bytes is given up after ten."""
    numbers = _varints(b"\xff" * 1_000_000, 0)

    with pytest.raises(IndexError):
        next(numbers)
