"""The headers of a dead letter, and the records that close it."""

import pytest

from relay.dead_letters.closings import Closings
from relay.dead_letters.letter import Duplicate, duplicate_mark_record, mark_record, parse_letter
from tests.support.dead_letters import AT, StoredRecord, letter_record


def test_the_headers_of_the_record_are_kept_apart_from_those_of_its_letter():
    """A record with headers of the relay's own names, as a refill has, gets them back, and the letter's own count."""
    original = (("relay.replay", b"refill"), ("trace", b"1"), ("relay.reason", b"of the record"))
    letter = parse_letter(letter_record(7, original=original, replay="job", topic="p.events"))

    assert letter.original_headers == original
    assert (letter.headers["replay"], letter.reason) == ("job", "too odd")


def test_a_record_without_a_reason_is_a_letter_without_one():
    """Headers of the relay count as they are where no reason tells where they begin."""
    letter = parse_letter(letter_record(7, reason=None, destination="sentinel", status="400"))
    assert (letter.reason, letter.destination, letter.original_headers) == ("", "sentinel", ())


@pytest.mark.parametrize(
    ("fields", "original"),
    [
        ({"topic": "p.events", "partition": "3", "offset": "17"}, ("p.events", 3, 17)),
        ({"topic": "p.events", "partition": "3"}, None),
        ({"topic": "p.events", "partition": "3", "offset": "-1"}, None),
        ({}, None),
    ],
)
def test_the_place_of_the_original_record(fields, original):
    """It is known only where all its parts are numbers."""
    headers = tuple((f"relay.{name}", text.encode()) for name, text in {"reason": "r", **fields}.items())
    assert parse_letter(StoredRecord(1, 5, headers=headers)).original == original


@pytest.mark.parametrize(("text", "tries"), [("3", 3), ("0", 1), ("-2", 1), ("x", 1), (None, 1)])
def test_the_number_of_refusals(text, tries):
    """Without a valid number it is the first."""
    assert parse_letter(letter_record(7, tries=text)).tries == tries


def stored(record, offset):
    return StoredRecord(
        record.partition, offset, record.key, record.value, tuple(record.headers), record.timestamp
    )


def test_a_mark_closes_its_letter_alone():
    """The mark has the key and the partition of the letter, an empty value, and is no letter itself."""
    letter, other = parse_letter(letter_record(7)), parse_letter(letter_record(8))
    record = mark_record("p.dead-letters", letter, b"acme", "job", AT + 1)
    mark = parse_letter(stored(record, 9))
    closings = Closings()
    closings.add(mark)

    assert (record.partition, record.key, record.value, record.timestamp) == (1, b"acme", b"", AT + 1)
    assert mark.is_mark
    assert mark.headers == {
        "redriven": "1/7",
        "fingerprint": letter.fingerprint,
        "at": str(AT + 1),
        "replay": "job",
    }
    assert closings.state(letter) == "redriven"
    assert closings.state(other) == "open"


def test_a_successor_closes_its_forebear_with_its_last_part():
    """A letter of the next refusal that is not whole yet closes nothing; a mark counts more than a successor."""
    letter, closings = parse_letter(letter_record(7)), Closings()
    closings.add(parse_letter(letter_record(9, redrive="1/7", part="1/2")))
    assert closings.state(letter) == "open"
    closings.add(parse_letter(letter_record(10, redrive="1/7", part="2/2")))
    assert closings.state(letter) == "failed again"
    closings.add(parse_letter(stored(mark_record("t", letter, b"acme", "job", AT), 11)))
    assert closings.state(letter) == "redriven"


@pytest.mark.parametrize("address", ["2/7", "7", "x/7", "1/x", "1/-7", ""])
def test_an_address_of_another_log_closes_nothing(address):
    """A mark in a mirrored log, in another partition, or with a broken address closes no letter, and is no letter."""
    closings, mark = Closings(), parse_letter(letter_record(9, b"", reason=None, redriven=address))
    closings.add(mark)

    assert mark.is_mark
    assert closings.state(parse_letter(letter_record(7))) == "open"


@pytest.mark.parametrize(
    "closing",
    [
        lambda letter: mark_record("t", letter, b"acme", "job", AT),
        lambda letter: duplicate_mark_record(
            "t", letter, Duplicate(letter.offset, letter.fingerprint), b"acme", "job", AT
        ),
        lambda letter: letter_record(9, redrive=letter.address, fingerprint=letter.fingerprint),
    ],
)
@pytest.mark.parametrize(
    "other",
    [
        {"value": b"another event"},
        {"key": b"umbrella"},
        {"destination": "splunk"},
        {"flow": "history"},
        {"tries": "2"},
    ],
)
def test_an_address_that_a_mirror_gave_to_another_letter_closes_nothing(closing, other):
    """A mirror keeps addresses in headers as they were, while offsets change: an open letter must never count as redriven."""
    fields = {"service": "consumer", "destination": "sentinel", "flow": "live"}
    letter = parse_letter(letter_record(7, **fields))
    closed_at_home = parse_letter(stored(closing(letter), 9))
    closings = Closings()
    closings.add(closed_at_home)

    assert closings.state(letter) != "open"
    assert closed_at_home.closes(letter)
    another = parse_letter(letter_record(7, **(fields | other)))
    assert closings.state(another) == "open"
    assert not closed_at_home.closes(another)


def test_a_mark_of_an_older_release_is_believed():
    """It has no fingerprint."""
    closings = Closings()
    closings.add(parse_letter(letter_record(9, b"", reason=None, redriven="1/7")))

    assert closings.state(parse_letter(letter_record(7))) == "redriven"


@pytest.mark.parametrize("number", ["9223372036854775808", "9" * 5_000])
def test_a_number_that_kafka_cannot_have_is_none(number):
    """A wrong header of one letter must not end the reading of all others."""
    places = {"redriven": f"1/{number}", "redrive": f"1/{number}", "part": f"1/{number}"}
    fields = {**places, "topic": "p.events", "partition": "3", "offset": number, "tries": number}
    headers = tuple((f"relay.{name}", text.encode()) for name, text in fields.items())
    letter = parse_letter(StoredRecord(1, 7, headers=headers))
    assert (letter.original, letter.forebear, letter.redriven) == (None, None, None)
    assert (letter.tries, letter.part) == (1, (1, 1))
    Closings().add(letter)
