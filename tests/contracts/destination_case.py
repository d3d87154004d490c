"""One kind of destination with its peer, opened for the claims of the contract suite."""

import asyncio
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from consumer.decoding.columns import decode
from consumer.destinations.contract import Body, OffsetRange
from consumer.formats.replay_mark import mark_replayed
from consumer.timing import BackoffCurve, BreakerTiming
from tests.contracts.peer import Absent, Peer
from tests.support.in_memory_group import handler
from tests.support.messages import WRITER_SCHEMAS, message

NEVER_LATE_SECONDS = 200
"""Of a request to a peer that answers: on a machine that stops for a minute, none is sent a second time."""
QUICK = BackoffCurve(0.02, 0.1)
CONFIG = {"breaker": BreakerTiming(QUICK, QUICK), "sender": {"rejection": QUICK, "defect": QUICK}}


@dataclass
class Case:
    """One kind, opened, with its peer."""

    kind: Any
    peer: Peer
    live: Any
    registry: CollectorRegistry = field(default_factory=CollectorRegistry)

    def can(self, fault):
        """Return how the peer plays a fault; skip the claim, with the reason of the peer, where it cannot."""
        played = getattr(self.peer, fault)
        if isinstance(played, Absent):
            pytest.skip(played.reason)
        return played

    def handler(self, kafka, **options):
        """A pipeline to the live flow, as one process has it."""
        return handler(kafka, self.live, registry=CollectorRegistry(), **CONFIG | options)


@asynccontextmanager
async def opened(kind, peer, seconds=None):
    """A kind and its peer. `seconds`: how long a request may take; None: as long as in the product."""
    async with kind.open("target", peer.config, seconds or kind.request_timeout_seconds) as flows:
        yield Case(kind, peer, flows["live"])


async def feed_until(handler, kafka, condition):
    """Read events by tens until a condition holds: only events that are accepted later prove that a row is bad."""
    state = handler._pipeline.flow.state
    for _ in range(200):
        if condition():
            return
        accepted, polled = state.accepted, kafka.poll(10)
        await handler.records(polled)
        await asyncio.sleep(0.3)
        if not any(polled.values()):
            continue
        with suppress(TimeoutError):  # on a busy machine the log would end before there is evidence
            async with asyncio.timeout(10):
                while state.accepted == accepted and not condition():
                    await asyncio.sleep(0.02)
    assert condition()


def uids(numbers):
    return [f"acme.atlassian.net/{number}" for number in numbers]


def encoded(destination, events, replay=None, *, keep_mode=False):
    """The events as rows; raises what encoding raises. `replay`: the id of the job that sends them again."""
    frame = decode([message(each) for each in events], WRITER_SCHEMAS).frame
    if replay is not None:
        frame = mark_replayed(frame, replay, keep_mode=keep_mode)
    return destination.encode(frame)


_next_offset = count(1_000, 10_000)


def body_of(destination, events, replay=None, *, keep_mode=False):
    """One body of these events, as the sender would build it."""
    return body_of_rows(destination, encoded(destination, events, replay, keep_mode=keep_mode), replay)


def body_of_rows(destination, rows, replay=None):
    """One body of these rows, at offsets of one partition that no other body has."""
    first, limits = next(_next_offset), destination.limits
    offsets = range(first, first + len(rows))
    return Body(
        destination.body(rows),
        len(rows),
        limits.format.size(rows),
        (OffsetRange("events", 0, offsets[0], offsets[-1]),),
        row_offsets=offsets if limits.single_partition else (),
        replay=replay,
    )
