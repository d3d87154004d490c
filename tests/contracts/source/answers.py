"""The questions beside reading: identity, empty answers, oldest record, clock."""

import pytest

from producer.sources.clock_skew import ClockSkew
from producer.sources.contract import UNKNOWN
from producer.sources.errors import ErrorKind, RetryAction
from producer.state.intervals import TimeRange
from relay.timestamps import now_ms


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
    before = now_ms()
    date = await opened.source.probe_clock()
    took = now_ms() - before

    assert -1_000 <= date - (before - 600_000) <= took  # the API's clock has whole seconds
    assert 599_000 - took <= opened.source.clock_skew.ahead_ms <= 600_000 + took


async def a_window_ahead_of_the_apis_clock_is_covered_to_that_clock(opened):
    """Records that are yet to come are not taken for read."""
    if not opened.world.has_clock:
        pytest.skip("the API has no clock")
    ahead = TimeRange(opened.now - 5_000, opened.now + 3_600_000)
    results = await opened.read(ahead)

    assert results[0].covered.start == ahead.start
    assert results[-1].covered.end <= now_ms()
