"""Which records count as misplaced, and how many are remembered."""

from producer.sources.jira_cloud.misplaced import MAX_MISPLACED, MisplacedRecords
from producer.sources.window_result import WindowResult
from producer.state.intervals import TimeRange
from relay.timestamps import DAY_MS

WINDOW = TimeRange(100 * DAY_MS, 101 * DAY_MS)
INSIDE = {"id": 1, "created": WINDOW.start + 5}


def result(far, *, inside=()):
    count = len(far) + len(inside)
    return WindowResult(
        WINDOW, WINDOW, tuple(inside), (), count, len(far), proven=True, far_outside_window=tuple(far)
    )


def old(*numbers):
    return [{"id": 1_000 + number, "created": number} for number in numbers]


def prove(records, found, *, shown=()):
    question = records.question(found, 1_000)
    records.note(question, [*found.events, *shown])
    return records.without_known(found)


def test_a_record_hours_away_is_misplaced_only_where_the_proof_is_shown_with_it():
    """An answer of another node without it proves nothing: the window's node may have a zone fault."""
    near = {"id": 2, "created": WINDOW.start - 3_600_000}
    records, found = MisplacedRecords(), result([near, *old(3)], inside=[INSIDE])
    assert prove(records, found).far_outside_window == (near,)
    assert prove(records, found, shown=[near]).far_outside_window == ()


def test_records_found_in_two_answers_are_all_apart():
    """Those known before count with those proven now."""
    records = MisplacedRecords()
    prove(records, result(old(1), inside=[INSIDE]))
    found = records.without_known(result(old(1, 2), inside=[INSIDE]))
    found = prove(records, found)
    assert [one["id"] for one in found.misplaced] == [1_001, 1_002]
    assert (found.record_count, found.outside_window) == (1, 0)


def test_more_known_records_in_one_window_than_single_ones_are_a_fault():
    """They were proven a few at a time."""
    records = MisplacedRecords()
    for start in (0, MAX_MISPLACED):
        prove(records, result(old(*range(start, start + MAX_MISPLACED)), inside=[INSIDE]))
    most, more = range(MAX_MISPLACED), range(MAX_MISPLACED + 1)
    assert len(records.without_known(result(old(*most))).misplaced) == MAX_MISPLACED
    assert len(records.without_known(result(old(*more))).far_outside_window) == MAX_MISPLACED + 1


def test_the_memory_is_bounded_and_keeps_those_that_are_shown():
    """A record of each answer stays known while others come and go for years."""
    records = MisplacedRecords()
    for number in range(1, 3_000, 50):
        prove(records, records.without_known(result(old(0, *range(number, number + 50)), inside=[INSIDE])))
    assert records.without_known(result(old(0, 2_950))).far_outside_window == ()
    assert len(records.without_known(result(old(1))).far_outside_window) == 1
