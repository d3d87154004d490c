import gzip

from hypothesis import given
from hypothesis import strategies as st

from producer.events import UnreadableRecord
from producer.publishing.dead_letters import dead_letter_records


def dead_letter_parts(raw, max_value_bytes=4_000_000):
    return dead_letter_records(
        UnreadableRecord("it has no id", raw),
        topic="dead-letters",
        partition=3,
        organization="acme",
        at_ms=1_790_000_000_000,
        max_value_bytes=max_value_bytes,
    )


def raw_of(parts):
    content = b"".join(part.value for part in parts)
    encoding = dict(parts[0].headers).get("relay.encoding")
    return gzip.decompress(content) if encoding == b"gzip" else content


@given(st.binary(max_size=3_000), st.integers(1, 2_000))
def test_the_parts_hold_the_raw_record_untouched(raw, max_value_bytes):
    """No part exceeds the topic's limit, and the joined parts equal the record."""
    parts = dead_letter_parts(raw, max_value_bytes)

    assert raw_of(parts) == raw
    assert all(len(part.value) <= max_value_bytes for part in parts)
    assert [dict(part.headers)["relay.part"] for part in parts] == [
        f"{number}/{len(parts)}".encode() for number in range(1, len(parts) + 1)
    ]


def test_a_small_record_is_one_plain_dead_letter():
    """A dead letter names reason, organization and time, under the organization's key and partition."""
    (dead_letter,) = dead_letter_parts(b'{"summary": "x"}')

    assert dead_letter.value == b'{"summary": "x"}'
    assert (dead_letter.key, dead_letter.partition, dead_letter.timestamp) == (b"acme", 3, 1_790_000_000_000)
    assert dict(dead_letter.headers) == {
        "relay.reason": b"it has no id",
        "relay.service": b"producer",
        "relay.at": b"1790000000000",
        "relay.part": b"1/1",
    }


def test_a_large_record_is_compressed():
    """Ten million equal letters fit one part."""
    (dead_letter,) = dead_letter_parts(b"a" * 10_000_000)

    assert len(dead_letter.value) < 100_000
    assert raw_of([dead_letter]) == b"a" * 10_000_000
