import polars as pl
import pytest
from polars.exceptions import PanicException

from consumer.decoding.row_encoding import SelectionError, encode
from consumer.destinations.sentinel import rows
from consumer.formats.encoded_rows import EncodedRows
from tests.support.messages import WRITER_SCHEMAS, event, message

RECORDS = [message(event(number), offset=number) for number in range(70)]


def encoded_rows(rows):
    return EncodedRows.of(rows, b",")


def failing_encoder(bad, error):
    """A row encoder that cannot take some events."""

    def encode_rows(frame):
        if bad & set(frame["id"]):
            raise error("made up")
        return encoded_rows(str(number).encode() for number in frame["id"])

    return encode_rows


@pytest.mark.parametrize("error", [PanicException, TypeError])
def test_an_event_that_no_row_can_be_made_of_is_rejected_alone(error):
    """A panic of polars is no Exception: it would end the process, and the next one too."""
    encoded = encode(RECORDS, WRITER_SCHEMAS, failing_encoder({3, 33, 69}, error))
    others = [number for number in range(70) if number not in {3, 33, 69}]
    assert encoded.indices == others
    assert list(encoded.rows) == [str(number).encode() for number in others]
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
def test_a_failure_of_every_event_is_blamed_on_none(error, raised):
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
        return encoded_rows([b"row"] * frame.height)

    assert list(encode(RECORDS[:1], WRITER_SCHEMAS, encode_rows).rows) == [b"row"]
    assert encode(RECORDS[:4], WRITER_SCHEMAS, encode_rows).undecodable == []


def test_an_encoder_that_loses_rows_is_blamed_itself():
    """Rows of the wrong number would be marked as other records' rows."""
    with pytest.raises(RuntimeError, match="0 rows of 1 events"):
        encode(RECORDS, WRITER_SCHEMAS, lambda _frame: encoded_rows([]))


def test_a_selector_leaves_records_out_of_the_rows():
    """Rows, skipped and undecodable records are all records, each once, in their order."""
    garbage = message(event(1))
    garbage.value = b"garbage"
    records = [*RECORDS[:5], garbage, *RECORDS[5:9]]
    encoded = encode(
        records, WRITER_SCHEMAS, failing_encoder({8}, TypeError), lambda frame: frame["id"] % 2 == 0
    )
    assert list(encoded.rows) == [b"0", b"2", b"4", b"6"]
    assert list(encoded.indices) == [0, 2, 4, 7]
    assert list(encoded.skipped) == [1, 3, 6, 8]
    assert [each.index for each in encoded.undecodable] == [5, 9]


def test_null_is_not_selected():
    """SQL's rule: a condition that is neither true nor false leaves the event out."""
    encoded = encode(
        RECORDS[:2], WRITER_SCHEMAS, failing_encoder(set(), TypeError), lambda frame: frame["category"] == "x"
    )
    assert (len(encoded.rows), list(encoded.skipped)) == (0, [0, 1])


@pytest.mark.parametrize(
    "select",
    [lambda frame: frame["no such column"], lambda frame: frame["id"], lambda _frame: pl.Series([True])],
    ids=["error", "no mask", "wrong length"],
)
def test_a_selector_that_fails_skips_nothing(select):
    with pytest.raises(SelectionError):
        encode(RECORDS, WRITER_SCHEMAS, failing_encoder(set(), TypeError), select)
