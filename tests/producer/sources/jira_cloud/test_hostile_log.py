"""A log with every difficulty at once, read through client, mapping and pager."""

from producer.sources.jira_cloud.mapping import restore_record, to_event
from producer.sources.jira_cloud.pager import Pager, PagingLimits
from producer.state.intervals import TimeRange
from simulators.jira_cloud.hostile import make_hostile_record, make_mistyped_record
from tests.support.jira_endpoints import NOW, at_site, fetch_page
from tests.support.jira_records import without_nulls


async def read_windows(client, endpoint, windows, limit=1000):
    """Return all records that a pager finds in the windows: restored from events, and unreadable ones."""
    pager, found, unreadable = Pager(windows, PagingLimits(page_records=limit)), [], []
    while (request := pager.next_request) is not None:
        answer = await fetch_page(
            client, endpoint, request.from_ms, request.until_ms, request.offset, request.limit
        )
        items = [to_event(record, "acme") for record in answer.records]
        if (result := pager.add(items, answer.size, answer.date_ms)) is not None:
            found += result.events
            unreadable += result.unreadable
    return found, unreadable


async def test_a_hostile_log_is_read_whole(client, site):
    """The pager returns each record whole and once, despite short pages, repeats, ties and moving rows."""
    site.quirks.page_cap, site.quirks.repeat_ids_divisible_by, site.quirks.reported_total = 7, 5, 3
    site.add_records(40, created=NOW - 7_000)
    site.add_history(60, NOW - 10_000, NOW - 5_000)
    for make in (make_hostile_record, make_mistyped_record):
        for ago in range(20):
            site.add_record(make(site.record_generator), created=NOW - 100 * ago)
    site.add_record(created=NOW - 50, fields={"id": 2**63 - 1, "created": "2026-09-21T16:13:19.950123+02:00"})
    early = site.add_record(created=NOW - 9_000, visible_after=None)["id"]
    site.after_pages(3, lambda: site.reveal(early))
    events, unreadable = await read_windows(
        client,
        at_site(site),
        [TimeRange(NOW - 10_000, NOW - 5_000), TimeRange(NOW - 5_000, NOW + 1)],
        limit=9,
    )
    assert not unreadable
    truth = {record["id"]: record for record in site.all_records()}
    truth.pop(early, None)
    found = {event["id"]: restore_record(event) for event in events}
    found.pop(early, None)
    assert set(found) == set(truth)
    assert {number: without_nulls(record) for number, record in truth.items()} == found
    assert len(events) == len({event["id"] for event in events})
