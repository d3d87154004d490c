import pytest
from polars.exceptions import PanicException

from consumer.decoding.isolate import encode
from consumer.destinations.sentinel import rows
from tests.support.messages import WRITER_SCHEMAS, event, message

RECORDS = [message(event(number), offset=number) for number in range(70)]


def failing_encoder(bad, error):
    """A row encoder that cannot take some events."""

    def encode_rows(frame):
        if bad & set(frame["id"]):
            raise error("made up")
        return [str(number).encode() for number in frame["id"]]

    return encode_rows


@pytest.mark.parametrize("error", [PanicException, TypeError])
def test_an_event_that_no_row_can_be_made_of_is_rejected_alone(error):
    """A panic of polars is no Exception: it would end the process, and the next one too."""
    encoded = encode(RECORDS, WRITER_SCHEMAS, failing_encoder({3, 33, 69}, error))
    others = [number for number in range(70) if number not in {3, 33, 69}]
    assert encoded.indices == others
    assert encoded.rows == [str(number).encode() for number in others]
    assert [each.index for each in encoded.undecodable] == [3, 33, 69]
    assert encoded.undecodable[0].reason == f"no row can be made of it ({error.__name__}: made up)"


def test_an_event_that_orjson_cannot_write_again_is_rejected_alone():
    deep = message(event(1, created=2**60, unmodeled="[" * 400 + "]" * 400))
    encoded = encode([RECORDS[0], deep, RECORDS[2]], WRITER_SCHEMAS, rows.encode_rows)
    assert (len(encoded.rows), encoded.indices) == (2, [0, 2])
    assert [each.index for each in encoded.undecodable] == [1]


@pytest.mark.parametrize(
    ("error", "raised"), [(PanicException, RuntimeError), (OSError, RuntimeError), (MemoryError, MemoryError)]
)
def test_what_fails_for_every_event_is_blamed_on_none(error, raised):
    def encode_rows(_frame):
        raise error("no threads left")

    with pytest.raises(raised, match="no threads left"):
        encode(RECORDS, WRITER_SCHEMAS, encode_rows)


def test_an_event_that_failed_in_passing_becomes_a_row():
    calls = []

    def encode_rows(frame):
        calls.append(frame.height)
        if len(calls) == 1:
            raise OSError("once")
        return [b"row"] * frame.height

    assert encode(RECORDS[:1], WRITER_SCHEMAS, encode_rows).rows == [b"row"]
    assert encode(RECORDS[:4], WRITER_SCHEMAS, encode_rows).undecodable == []
