"""How requests are made: faults, waits, priorities, cancellation, and what a source keeps."""

import asyncio
import time
from contextlib import aclosing
from dataclasses import replace

import pytest

from producer.sources.errors import RetryAction, SourceError
from producer.sources.purpose import Purpose

HTTP_FAULTS = {"401", "403", "404", "429", "500", "reset", "html", "truncated"}
RETRY_AFTER_SECONDS = 1.0
"""The wait that the fault "429" of a world asks for, in whole seconds as in the header."""


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
        assert errors[0].retry_seconds >= (RETRY_AFTER_SECONDS if name == "429" else 0.0)


async def each_request_is_reported(opened):
    """The producer's metrics count each request with its duration, a failed one too."""
    opened.world.add(opened.window.start)
    await opened.events()
    asked = len(opened.ended)
    assert asked >= 1
    assert all(opened.ended)
    opened.world.fault(next(iter(opened.world.faults)), times=1)
    try:
        await opened.events()
    except SourceError:
        assert len(opened.ended) > asked
    assert opened.ended.count(False) == 1


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


async def a_requested_wait_holds_back_every_request(opened):
    """Where the API asks for a wait, neither the read that met it nor another source of the site sends a request before its end."""
    if not any(action is RetryAction.WAIT for _, action in opened.world.faults.values()):
        pytest.skip("the API asks for no waits")
    opened.world.add(opened.window.start)
    opened.world.fault("429", times=1)
    organization = opened.world.organization()
    first_source = opened.factory.source_for(organization)
    other = opened.factory.source_for(replace(organization, revision=organization.revision + 1))
    refused = asyncio.Event()
    began = time.monotonic()
    first = asyncio.create_task(opened.read_from(first_source, on_retry=lambda _error: refused.set()))
    async with asyncio.timeout(60):
        await refused.wait()
        second = await opened.read_from(other, purpose=Purpose.BACKFILL)
        waited = time.monotonic() - began

    assert len(second) == len(await first) == 1
    assert waited >= RETRY_AFTER_SECONDS


async def low_priority_requests_give_way(opened):
    """While no slot of low priority is free, history sends nothing, and live requests go on."""
    opened.world.add(opened.window.start)
    async with opened.slots.low_priority:
        history = asyncio.create_task(opened.events(purpose=Purpose.BACKFILL))
        async with asyncio.timeout(60):
            live = await opened.events()
        await asyncio.sleep(0.1)
        assert not history.done()

    assert live == await asyncio.wait_for(history, 60)


async def a_cancellation_at_any_request_leaves_nothing_held(opened):
    """Neither the site's turn nor a slot: the next caller goes on at once, be it of high or low priority."""
    opened.world.small_pages()
    for number in range(250):
        opened.world.add(opened.window.start + number)
    requests = 0
    for purpose, other in ((Purpose.LIVE, Purpose.REREAD), (Purpose.BACKFILL, Purpose.LIVE)):
        for skip in range(3):
            hanging = opened.world.hang(skip)
            task = asyncio.create_task(opened.events(purpose=purpose))
            await asyncio.wait_for(hanging.reached(), 60)
            task.cancel()
            await asyncio.wait({task})
            hanging.cancel()
            requests += 1
            async with asyncio.timeout(60):
                assert len(await opened.events(purpose=other)) == 250
            assert task.cancelled()

    assert requests == 6


async def a_read_that_is_closed_early_leaves_nothing_held(opened):
    """As where publishing the first result fails."""
    opened.world.add(opened.window.start)
    async with aclosing(opened.source.read(opened.window)) as results:
        async for _ in results:
            break
    async with asyncio.timeout(60):
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
