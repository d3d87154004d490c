"""One millisecond of an unread range, read record by record, beside records of another time."""

import pytest

from producer.events import UnreadableRecord
from producer.sources.errors import ErrorKind
from producer.sources.jira_cloud.millisecond_reader import MillisecondReader
from producer.sources.purpose import Purpose
from producer.state.intervals import TimeRange
from relay.timestamps import DAY_MS, now_ms
from simulators import faults
from tests.support.jira import error_kinds

HOUR = 3_600_000
AT = 9_000_000


@pytest.fixture
async def acme(jira):
    return await jira.add_site("acme")


def open_read(acme, hasty, at):
    acme.fault(faults.respond_with(500), times=2)  # both readings of the whole millisecond
    return hasty.source_for(acme).read(TimeRange(at, at + 1), Purpose.UNREAD_RANGES)


async def test_records_of_another_time_close_no_unread_range(acme, hasty):
    """The millisecond's own record is not among them."""
    at = now_ms() - 2 * HOUR
    acme.add_record(created=at)
    acme.add_record(created=at - HOUR)
    acme.quirks.query_shift_seconds = -3_600
    results = open_read(acme, hasty, at)
    result = await anext(results)

    assert await error_kinds(anext(results)) == [ErrorKind.OUTSIDE_WINDOW]
    assert not result.covered.width


async def test_a_misplaced_record_is_no_sign_of_life(acme, hasty):
    """The millisecond counts as empty, so that this is verified."""
    misplaced = acme.add_record(created=now_ms() - 30 * DAY_MS)
    acme.quirks.misplaced_records.add(misplaced["id"])
    results = [each async for each in open_read(acme, hasty, now_ms() - HOUR)]

    assert [each.record_count for each in results] == [0]
    assert [each["id"] for each in results[0].misplaced] == [misplaced["id"]]


@pytest.mark.parametrize("foreign", [0, 1, 2])
@pytest.mark.parametrize("first", [False, True])
def test_rows_of_another_time_in_each_page_hide_none_and_end(foreign, first):
    """They come whatever the offset, so that no page is empty."""
    rows = [{"id": number, "created": AT} for number in range(20)] + [UnreadableRecord("no JSON", b"x")]
    others = [{"id": 100 + number, "created": number} for number in range(foreign)]
    reader, requests = MillisecondReader(TimeRange(AT, AT + 1), 8), 0
    while (request := reader.next_request) is not None:
        requests += 1
        shown = rows[request.offset : request.offset + request.limit]
        reader.add([*others, *shown] if first else [*shown, *others])
    result = reader.result()

    assert [one["id"] for one in result.events] == list(range(20))
    assert result.unreadable == (rows[-1],)
    assert (result.record_count, len(result.far_outside_window)) == (21 + foreign, foreign)
    assert result.proven
    assert requests < 10


def test_a_page_that_is_repeated_for_ever_ends_unproven():
    """More records may be behind it."""
    reader, requests = MillisecondReader(TimeRange(AT, AT + 1), 8), 0
    while reader.next_request is not None:
        requests += 1
        reader.add([{"id": 1, "created": AT}])

    assert (requests, reader.result().proven) == (6, False)


def test_a_user_who_is_renamed_between_two_pages_makes_no_second_record():
    """A row that a later page shows again has the new name; two rows of one page with one id are two records."""
    rows = [{"id": number, "created": AT, "author": "old"} for number in range(6)]
    reader = MillisecondReader(TimeRange(AT, AT + 1), 8)
    reader.add(rows[:1])
    reader.add(rows[1:3])
    renamed = [{**row, "author": "new"} for row in rows]
    reader.add(
        [*renamed[2:5], {**renamed[4], "author": "another"}]
    )  # a row came in front: row 2 is shown again
    reader.add(renamed[5:])
    reader.add([])
    result = reader.result()

    assert [(one["id"], one["author"]) for one in result.events] == [
        (0, "old"),
        (1, "old"),
        (2, "old"),
        (3, "new"),
        (4, "new"),
        (4, "another"),
        (5, "new"),
    ]
