"""The Source contract as a suite: each function of CHECKS is a claim that holds for every source.

A source brings a SourceWorld: its simulator, and how to make records and faults in it. Questions that its API cannot
be asked are None or empty there, and the check says so by skipping.
"""

import asyncio
import json
from contextlib import aclosing
from dataclasses import replace
from typing import Protocol

import pytest

from producer.config import ProducerConfig
from producer.sources.catalogue import SOURCES
from producer.sources.clock_skew import ClockSkew
from producer.sources.contract import UNKNOWN, SourceSetup
from producer.sources.errors import ErrorKind, RetryAction, SourceError
from producer.sources.throttle import RequestSlots
from producer.state.intervals import TimeRange, split_in_half
from relay.timestamps import now_ms
from tests.contracts.lines.source import open_lines
from tests.support.jira import StubCredentials, backoff

TABLE = {**SOURCES, "lines": open_lines}
"""The sources of the relay and the invented one, which needs this line and its folder."""

HTTP_FAULTS = {"401", "403", "404", "429", "500", "reset", "html", "truncated"}
SECOND = 1_000


class SourceWorld(Protocol):
    """One organization's log in a simulator."""

    several_results: int
    """So many records in a second make `read` yield more than one result."""
    too_many_of_one_ms: int | None
    """So many records of one millisecond cannot all be listed for certain. None: any number can."""
    faults: dict[str, tuple[ErrorKind, RetryAction]]
    """Faults that the world can play, and how the source names them."""
    config: ProducerConfig
    credentials: StubCredentials
    key: str
    has_http: bool
    has_clock: bool
    has_identity: bool
    empty_proves_nothing: bool

    def organization(self, **fields): ...

    def add(self, created, count=1): ...  # records, as JSON values, of one millisecond

    def add_odd_records(self, created): ...  # records that use every corner of the API's format

    def as_restored(self, record): ...  # the record without differences that carry no meaning

    def small_pages(self): ...  # where the API can be made to give fewer records than asked for

    def after_requests(self, count, action): ...

    def fault(self, name, **options): ...  # options: times=1, skip=0

    def hang(self, skip): ...  # the request after `skip` others never ends

    def set_clock(self, ahead_seconds): ...

    def reject_key(self): ...  # the API gives empty answers, as to nobody


def setup(world):
    """Short waits, and one slot for all, so that a slot that is not given back is missed at once."""
    timing = backoff(0.05, page_pause_seconds=0.0, key_check_seconds=0.02)
    return SourceSetup(world.config, world.credentials, now_ms, RequestSlots(1, 1), timing)


class OpenedWorld:
    """A world with its source, opened by the table as the producer opens it."""

    def __init__(self, world, factory):
        self.world = world
        self.factory = factory
        self.now = now_ms() // 1_000 * 1_000
        self.window = TimeRange(self.now - 60 * SECOND, self.now - 50 * SECOND)

    @property
    def source(self):
        return self.factory.source_for(self.world.organization())

    async def read(self, window=None, **options):
        """All results of a window."""
        async with aclosing(self.source.read(window or self.window, **options)) as found:
            return [result async for result in found]

    async def events(self, window=None, **options):
        return [event for result in await self.read(window, **options) for event in result.events]

    async def error(self, call):
        """The SourceError that a call raises."""
        with pytest.raises(SourceError) as raised:
            await call
        return raised.value


def restored(opened, events):
    """Records by their text, as they come back from events."""
    found = [json.loads(opened.source.restore(event)) for event in events]
    return sorted(json.dumps(record, sort_keys=True) for record in found)


def expected(opened, records):
    return sorted(json.dumps(opened.world.as_restored(record), sort_keys=True) for record in records)


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


async def results_ascend_without_a_hole(opened):
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


async def an_empty_window_is_one_empty_piece(opened):
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
    again = {event["id"] for event in await opened.events(low_priority=True)}
    halves = [event["id"] for half in split_in_half(opened.window) for event in await opened.events(half)]

    assert len(first) == 120
    assert first == again == set(halves)
    assert all(type(number) is int and 0 <= number < 2**63 for number in first)


async def restoring_is_the_inverse_of_reading(opened):
    """Each record of the API's format comes back from its event."""
    records = opened.world.add_odd_records(opened.window.start + 7)
    results = await opened.read()
    events = [event for result in results for event in result.events]

    assert restored(opened, events) == expected(opened, records)
    assert not [one for result in results for one in result.unreadable]


async def an_identity_is_bound_and_another_is_refused(opened):
    """A log without an identity is bound to nothing, and refuses nothing."""
    await opened.source.bind_identity(None)
    identity = opened.source.identity
    if not opened.world.has_identity:
        await opened.source.bind_identity("another")
        assert identity is None
        return
    assert identity
    await opened.source.bind_identity(identity)
    error = await opened.error(opened.source.bind_identity("another"))

    assert (error.kind, error.action) == (ErrorKind.OTHER_SITE, RetryAction.FIX)


async def an_empty_answer_is_verified(opened):
    """An empty log passes, and one with records of another time; a record of the empty window, or a key that counts for
    nobody, does not.
    """
    await opened.source.verify_empty(opened.window)
    opened.world.add(opened.window.start - 5_000)
    await opened.source.verify_empty(opened.window)
    if not opened.world.empty_proves_nothing:
        return
    opened.world.add(opened.window.start)
    contradicted = await opened.error(opened.source.verify_empty(opened.window))
    opened.world.reject_key()
    refused = await opened.error(opened.source.verify_empty(opened.window))

    assert contradicted.action is RetryAction.RETRY
    assert refused.action is RetryAction.FIX


async def the_oldest_record_is_known_or_cannot_be_asked(opened):
    """None for an empty log, else the `created` of its oldest record."""
    empty = await opened.source.oldest()
    if empty is UNKNOWN:
        pytest.skip("the API cannot be asked for its oldest record")
    opened.world.add(opened.window.start - 99_000)
    opened.world.add(opened.window.start)

    assert empty is None
    assert await opened.source.oldest() == opened.window.start - 99_000


async def the_clock_is_learned_or_there_is_none(opened):
    """One sign of life tells how far the local clock is off; without a clock nothing is corrected."""
    if not opened.world.has_clock:
        assert await opened.source.probe_clock() is None
        assert opened.source.clock_skew == ClockSkew()
        return
    opened.world.set_clock(-600)
    date = await opened.source.probe_clock()

    assert abs(now_ms() - 600_000 - date) < 3_000
    assert 595_000 < opened.source.clock_skew.ahead < 602_000


async def a_window_ahead_of_the_apis_clock_is_covered_to_that_clock(opened):
    """Records that are yet to come are not taken for read."""
    if not opened.world.has_clock:
        pytest.skip("the API has no clock")
    ahead = TimeRange(opened.now - 5_000, opened.now + 3_600_000)
    results = await opened.read(ahead)

    assert results[0].covered.start == ahead.start
    assert results[-1].covered.end <= now_ms()


async def each_fault_has_a_kind_and_an_action(opened):
    """A failure that may pass is repeated within the read, and reported; another ends it. None shows the key."""
    if opened.world.has_http:
        assert opened.world.faults.keys() >= HTTP_FAULTS
    opened.world.add(opened.window.start)
    for name, (kind, action) in opened.world.faults.items():
        opened.world.fault(name, times=1)
        errors = []
        try:
            events = await opened.events(on_retry=errors.append)
        except SourceError as error:
            errors.append(error)
            events = await opened.events()

        assert [(one.kind, one.action) for one in errors] == [(kind, action)], name
        assert len(events) == 1
        assert opened.world.organization().name in errors[0].failure.message
        assert opened.world.key not in errors[0].failure.message
        assert errors[0].retry_seconds >= (1.0 if name == "429" else 0.0)


async def a_fault_that_lasts_ends_the_read(opened):
    """After some repeats the caller hears of it, and the source is not held: the next read goes on when it is over."""
    transient = [name for name, (_, action) in opened.world.faults.items() if action is RetryAction.RETRY]
    opened.world.add(opened.window.start)
    fault = opened.world.fault(transient[0], times=None)
    heard = []
    error = await opened.error(opened.events(on_retry=heard.append))
    fault.cancel()

    assert error.action is RetryAction.RETRY
    assert heard
    assert len(await opened.events()) == 1


async def a_cancellation_at_any_request_leaves_nothing_held(opened):
    """Neither the site's turn nor a slot: the next caller goes on at once, be it of high or low priority."""
    opened.world.small_pages()
    for number in range(250):
        opened.world.add(opened.window.start + number)
    requests = 0
    for low_priority in (False, True):
        for skip in range(3):
            hanging = opened.world.hang(skip)
            task = asyncio.create_task(opened.events(low_priority=low_priority))
            await asyncio.wait_for(hanging.reached(), 10)
            task.cancel()
            await asyncio.wait({task})
            hanging.cancel()
            requests += 1
            async with asyncio.timeout(10):
                assert len(await opened.events(low_priority=not low_priority)) == 250
            assert task.cancelled()

    assert requests == 6


async def a_read_that_is_closed_early_leaves_nothing_held(opened):
    """As where publishing the first result fails."""
    opened.world.add(opened.window.start)
    async with aclosing(opened.source.read(opened.window)) as results:
        async for _ in results:
            break
    async with asyncio.timeout(10):
        assert len(await opened.events()) == 1


async def a_source_is_kept_until_its_organization_changes(opened):
    """So a refused key is not tried anew because Kafka had a fault; the party that limits apply to stays the same."""
    organization = opened.world.organization()
    source = opened.factory.source_for(organization)
    changed = opened.factory.source_for(replace(organization, revision=organization.revision + 1))
    opened.factory.remove(organization.name)

    assert opened.factory.source_for(organization) is not changed
    assert changed is not source
    assert changed.throttle_key == source.throttle_key


async def its_traits_are_true(opened):
    """A full page is no larger than the traits say, and events of a window are of its ordering time."""
    opened.world.add(opened.window.start, count=5)
    traits = opened.source.traits
    results = await opened.read()

    assert traits.page_records >= 1
    if traits.ordering == "created":
        assert all(event["created"] in result.window for result in results for event in result.events)


CHECKS = [
    a_window_is_read_whole_once_and_oldest_first,
    rows_that_move_while_they_are_read_are_neither_lost_nor_repeated,
    results_ascend_without_a_hole,
    an_empty_window_is_one_empty_piece,
    what_cannot_be_proven_is_named,
    ids_are_stable_and_of_63_bits,
    restoring_is_the_inverse_of_reading,
    an_identity_is_bound_and_another_is_refused,
    an_empty_answer_is_verified,
    the_oldest_record_is_known_or_cannot_be_asked,
    the_clock_is_learned_or_there_is_none,
    a_window_ahead_of_the_apis_clock_is_covered_to_that_clock,
    each_fault_has_a_kind_and_an_action,
    a_fault_that_lasts_ends_the_read,
    a_cancellation_at_any_request_leaves_nothing_held,
    a_read_that_is_closed_early_leaves_nothing_held,
    a_source_is_kept_until_its_organization_changes,
    its_traits_are_true,
]
