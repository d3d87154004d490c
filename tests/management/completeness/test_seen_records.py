"""What a count keeps of the records that it decoded, so that the next one decodes only what is new."""

from hashlib import sha256

from management.completeness.canonical import EventKey, event_key
from management.completeness.seen_records import SeenRecord, SeenRecords
from tests.support.proof_world import some_event

DAY = "2026-11-23"


def seen(number, variant=None):
    return SeenRecord(EventKey(number, sha256(bytes([number])).digest()), 2 * number, 3 * number, variant)


def test_a_record_is_known_by_all_of_its_bytes():
    records = SeenRecords()
    records.add(b"one", seen(1))
    records.add(b"variant", seen(2, "0" * 16))
    assert records.find(b"one") == seen(1)
    assert [records.find(each) for each in (b"onf", b"one ", b"", b"variant")] == [None] * 4


def test_what_no_count_finds_any_more_is_forgotten_in_its_time_and_room_is_bounded():
    records = SeenRecords(most=2)
    for number, content in enumerate((b"a", b"b", b"c"), 1):
        records.add(content, seen(number))
    assert [records.find(each) for each in (b"a", b"b", b"c")] == [seen(1), seen(2), None]
    records.begin(1)
    assert records.find(b"a") == seen(1)
    records.begin(2)
    records.add(b"c", seen(3))
    assert [records.find(each) for each in (b"a", b"b", b"c")] == [seen(1), None, seen(3)]


def test_an_event_of_the_audit_log_has_its_hash_whether_or_not_it_was_seen():
    """Also one that was altered since, and one whose numbers are too long to be known by."""
    records = SeenRecords()
    events = [some_event(DAY, 1), some_event(DAY, 1, summary="Another"), some_event(DAY, 2, rank=1 << 70)]
    for each in (*events, *events):
        assert records.key_of(each) == event_key(each)
