"""Which events a search finds, without a Kafka."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from management.events.query import EventQuery, read_query, zigzag
from management.events.search_place import UnsearchedRange, decode_place, encode_place, read_back_to
from management.organizations.validation import InputError
from relay.avro.codec import Encoder, fingerprint
from relay.kafka import TopicPartition
from tests.support.messages import AUDIT_EVENT, event

ENCODER = Encoder(AUDIT_EVENT, fingerprint(AUDIT_EVENT))


@given(st.integers(0, 2**63 - 1))
def test_every_record_with_an_id_holds_its_bytes(number):
    """A record without the bytes of the id needs no decoding, and one with the id always has them."""
    value = ENCODER.encode(event(1, id=number))

    assert zigzag(number) in value
    assert EventQuery(id=number).may_match(b"acme.atlassian.net", value, 0)


@given(st.text(max_size=20), st.text(max_size=3))
def test_no_match_is_left_out_before_decoding(summary, text):
    """The look at the bytes passes every event that matches."""
    found = event(1, summary=summary)
    query = EventQuery(text=text.strip())
    if query.matches(found) and query.text.isascii() and summary.isascii():
        assert query.may_match(b"", ENCODER.encode(found), 0)


def test_a_text_finds_personal_data_only_on_request():
    """Without the request, an address is as if it were not in the event."""
    found = event(1, remoteAddress="192.0.2.1", summary="User created")

    assert EventQuery(text="uSER cre").matches(found)
    assert not EventQuery(text="192.0.2.1").matches(found)
    assert EventQuery(text="192.0.2.1", personal=True).matches(found)


@pytest.mark.parametrize(
    ("number", "organization", "found"),
    [
        ("17", "acme", ("acme", 17)),
        ("acme/17", "", ("acme", 17)),
        ("acme/17", "acme", ("acme", 17)),
        ("a/b/17", "", ("a/b", 17)),
        ("acme/17/00ffee0011223344", "", ("acme", 17)),
    ],
)
def test_an_id_may_be_an_event_uid(number, organization, found):
    """The EventUid of a destination names organization and id."""
    query = read_query({"id": number, "organization": organization})
    assert (query.organization, query.id) == found


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"id": "seventeen"}, "no id of an event"),
        ({"id": "-1"}, "no id of an event"),
        ({"id": "9" * 20}, "no id of an event"),
        ({"id": "beta/1", "organization": "acme"}, "Leave one of the two empty"),
        ({"from": "yesterday"}, "is no time"),
        ({"from": "2026-02-02", "to": "2026-02-01"}, "ends before it begins"),
        ({"text": "x" * 201}, "more than 200"),
    ],
)
def test_what_cannot_be_meant_is_refused(fields, reason):
    """The message says what is wrong."""
    with pytest.raises(InputError, match=reason):
        read_query(fields)


def test_the_place_of_a_search_survives_as_text():
    """Finished partitions are left out; any other text is refused."""
    events, backfill = (TopicPartition(topic, 3) for topic in ("p.events", "p.backfill"))
    unread = {events: UnsearchedRange(0, 17, 50), backfill: UnsearchedRange(5, 5)}
    text = encode_place(unread, "p.events")

    assert text == "e3.17"
    assert decode_place(text, "p.events", "p.backfill") == {events: 17}
    for wrong in ("e3", "x3.17", "e3.17_", "e3.17;", "e٣.1"):
        with pytest.raises(InputError):
            decode_place(wrong, "p.events", "p.backfill")


def test_a_search_claims_no_time_that_a_partition_has_not_reached():
    """The partition that has come least far decides; one without a record so far allows no claim."""
    assert (
        read_back_to([UnsearchedRange(0, 5, 100), UnsearchedRange(0, 5, 200), UnsearchedRange(5, 5, 300)])
        == 200
    )
    assert read_back_to([UnsearchedRange(0, 5, 100), UnsearchedRange(0, 5)]) is None
    assert read_back_to([UnsearchedRange(5, 5, 100)]) is None
