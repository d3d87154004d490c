"""What a read of a window yields."""

import pytest

from producer.events import same_record
from producer.sources.purpose import Purpose
from producer.state.intervals import TimeRange, split_in_half
from tests.contracts.source.world import expected, restored


async def a_window_is_read_whole_once_and_oldest_first(opened):
    """Each record of the window is one event, the ends of the half-open window included and left out, in order."""
    start, end = opened.window.start, opened.window.end
    inside = [opened.world.add(at)[0] for at in (start, start + 1, start + 500, start + 500, end - 1)]
    opened.world.add(start - 1)
    opened.world.add(end)
    events = await opened.events()

    one_millisecond = await opened.events(TimeRange(start + 1, start + 2))

    assert restored(opened, events) == expected(opened, inside)
    assert restored(opened, one_millisecond) == expected(opened, inside[1:2])
    assert [event["created"] for event in events] == sorted(event["created"] for event in events)
    assert {event["organization"] for event in events} == {opened.world.organization().name}


async def rows_that_move_while_they_are_read_are_neither_lost_nor_repeated(opened):
    """New records appear while a window of many pages is read."""
    opened.world.small_pages()
    before = [opened.world.add(opened.window.start + 10 * number)[0] for number in range(150)]
    for count in (1, 2, 3):
        opened.world.after_requests(count, lambda: opened.world.add(opened.window.start + 333, count=7))
    events = await opened.events()
    numbers = [event["id"] for event in events]

    assert set(expected(opened, before)) <= set(restored(opened, events))
    assert len(numbers) == len(set(numbers))


async def records_that_are_deleted_while_they_are_read_hide_no_other(opened):
    """The newest records vanish between pages, as by an operator's hand: each record that stays is read, once."""
    if opened.world.delete_newest is None:
        pytest.skip("the API deletes no record")
    opened.world.small_pages()
    created = [opened.world.add(opened.window.start + 10 * number)[0] for number in range(150)]
    for count in (1, 2, 3):
        opened.world.after_requests(count, lambda: opened.world.delete_newest(4))
    events = await opened.events()
    numbers = [event["id"] for event in events]

    assert set(expected(opened, created[: 150 - 3 * 4])) <= set(restored(opened, events))
    assert len(numbers) == len(set(numbers))


async def results_ascend_without_a_gap(opened):
    """Many records come in several results, whose windows adjoin and together are the window."""
    count, width = opened.world.several_results, opened.window.width
    for number in range(50):
        opened.world.add(opened.window.start + number * width // 50, count=count // 50)
    results = await opened.read()
    numbers = [event["id"] for result in results for event in result.events]

    assert len(results) > 1
    assert [result.window.start for result in results[1:]] == [result.window.end for result in results[:-1]]
    assert (results[0].window.start, results[-1].window.end) == (opened.window.start, opened.window.end)
    assert all(event["created"] in result.window for result in results for event in result.events)
    assert all(result.covered == result.window and result.proven for result in results)
    assert len(numbers) == len(set(numbers)) == count // 50 * 50


async def an_empty_window_is_one_empty_result(opened):
    """It covers the window."""
    (result,) = await opened.read()

    assert (result.window, result.covered, result.events, result.record_count) == (
        opened.window,
        opened.window,
        (),
        0,
    )


async def what_cannot_be_proven_is_named(opened):
    """Where the API may hold more of a millisecond than it shows, the result of that millisecond says so."""
    if opened.world.too_many_of_one_ms is None:
        pytest.skip("the API lists any number of records of one millisecond")
    at = opened.window.start + 5
    opened.world.add(at, count=opened.world.too_many_of_one_ms)
    opened.world.add(at + 1_000)
    results = await opened.read()

    assert any(at in result.window and result.window.width == 1 for result in results if not result.proven)
    assert all(result.proven for result in results if result.window.start > at + 1)


async def ids_are_stable_and_of_63_bits(opened):
    """The same record has the same id on every read, in any window, page and priority."""
    for number in range(60):
        opened.world.add(opened.window.start + 50 * number, count=2)
    first = {event["id"] for event in await opened.events()}
    opened.world.small_pages()
    again = {event["id"] for event in await opened.events(purpose=Purpose.BACKFILL)}
    halves = [event["id"] for half in split_in_half(opened.window) for event in await opened.events(half)]

    assert len(first) == 120
    assert first == again == set(halves)
    assert all(type(number) is int and 0 <= number < 2**63 for number in first)


async def restoring_is_the_inverse_of_reading(opened):
    """Each record of the API's format comes back from its event, and its bytes give the event again."""
    records = opened.world.add_odd_records(opened.window.start + 7)
    results = await opened.read()
    events = [event for result in results for event in result.events]

    assert restored(opened, events) == expected(opened, records)
    assert not [one for result in results for one in result.unreadable]
    again = [opened.source.parse_record(opened.source.restore(event)) for event in events]
    assert all(same_record(*pair) for pair in zip(events, again, strict=True))


async def its_traits_are_true(opened):
    """A full page is no larger than the traits say, and events of a window were created in it."""
    opened.world.add(opened.window.start, count=5)
    traits = opened.source.traits
    results = await opened.read()

    assert traits.page_records >= 1
    assert all(event["created"] in result.window for result in results for event in result.events)
