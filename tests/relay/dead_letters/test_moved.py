"""The places that dead letters name, in a copy of the topics where offsets are other numbers."""

from types import SimpleNamespace

from relay.dead_letters.closings import Closings
from relay.dead_letters.letter import mark_record, parse_letter, relay_headers
from relay.dead_letters.moved import NOWHERE, OffsetMap, last_named, moved_headers
from relay.kafka import TopicPartition
from tests.support.dead_letters import StoredRecord, letter_record

LETTERS, EVENTS = TopicPartition("p.dead-letters", 1), TopicPartition("p.events", 4)


def mapped(*pairs):
    found = OffsetMap()
    for old, new in pairs:
        found.add(old, new)
    return found


def test_an_offset_is_found_in_its_row_and_a_deleted_one_nowhere():
    """A marker of a transaction makes a gap on one side or on both. A second copy leaves what is nowhere where it is."""
    found = mapped((5, 0), (6, 1), (8, 2), (9, 4), (20, 5))

    assert [found.moved(old) for old in (5, 6, 8, 9, 20)] == [0, 1, 2, 4, 5]
    assert [found.moved(old) for old in (4, 7, 10, 21)] == [NOWHERE + old for old in (4, 7, 10, 21)]
    assert OffsetMap().moved(NOWHERE + 7) == NOWHERE + 7


def marked(offset, marked_letter):
    record = mark_record("p.dead-letters", parse_letter(marked_letter), b"acme", "r-1", 1)
    return StoredRecord(1, offset, b"acme", b"", tuple(record.headers))


def test_a_mark_closes_the_same_letter_in_the_copy():
    """With the old number it would close the letter that has this place there, which then is never delivered."""
    first, second = letter_record(10, destination="siem"), letter_record(11, destination="siem")
    mark = marked(12, second)
    maps = {LETTERS: mapped((10, 11), (11, 12))}
    copy = SimpleNamespace(**vars(mark) | {"headers": moved_headers(mark, maps), "offset": 13})
    closings = Closings()
    closings.add(parse_letter(copy))

    assert last_named(mark) == 11
    assert closings.state(parse_letter(letter_record(11, destination="siem"))) == "open"
    assert closings.state(parse_letter(letter_record(12, destination="siem"))) == "redriven"
    assert last_named(first) == -1


def test_a_letter_names_its_event_and_its_forebear_where_they_are_now():
    """The headers of the record, and an address of another partition, stay as they are."""
    own = {"reason": "odd", "topic": "p.events", "partition": "4", "offset": "70", "redrive": "1/12"}
    foreign = [("relay.offset", b"7"), ("traceparent", b"t")]
    record = StoredRecord(1, 30, headers=(*foreign, *relay_headers(own)))
    moved = dict(moved_headers(record, {LETTERS: mapped((12, 3)), EVENTS: mapped((70, 60))})[2:])

    assert moved_headers(record, {})[:2] == foreign
    assert (moved["relay.offset"], moved["relay.redrive"]) == (b"60", b"1/3")
    assert list(moved_headers(record, {})) == list(record.headers)
    elsewhere = letter_record(31, redrive="0/12")
    assert list(moved_headers(elsewhere, {LETTERS: mapped((12, 3))})) == list(elsewhere.headers)
