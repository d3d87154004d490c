"""The bound of delivered records that are not committed: the pump keeps it, and never waits for itself."""

import asyncio
import os
import random
from dataclasses import replace

import orjson
import pytest

from consumer.destinations.outcome import Reject, Retry
from consumer.timing import BackoffCurve, BreakerTiming, BufferLimits
from tests.support.fake_sentinel import FakeSentinel
from tests.support.in_memory_group import FakeGroup, assign, handler
from tests.support.messages import event, message
from tests.support.routed_group import HOLD

QUICK = BackoffCurve(0.005, 0.02)
FIRST = int(os.environ.get("RELAY_HISTORIES_SEED", "1"))
COUNT = int(os.environ.get("RELAY_CONSUMER_HISTORIES", "5"))


class Destination(FakeSentinel):
    """Is away when told so, and rejects a body with a bad event without naming the event."""

    def __init__(self, max_rows=10, **limits):
        super().__init__(**limits)
        self.limits = replace(self.limits, format=replace(self.limits.format, max_rows=max_rows))
        self.away, self.bad = False, frozenset()

    async def send(self, body):
        await asyncio.sleep(0.001)
        if self.away:
            return Retry("away", 503)
        if self.bad & {row["EventId"] for row in orjson.loads(body.content)}:
            return Reject("400", 400)
        return await super().send(body)


def group(count, organizations=1):
    kafka = FakeGroup(0)
    kafka.log = [
        message(event(number, organization=f"org{number % organizations}"), offset=number)
        for number in range(count)
    ]
    kafka.max_metadata = 0  # no range fits
    return kafka


def process(kafka, destination, **options):
    timing = {
        "route_hold": HOLD,
        "commit_interval_seconds": 0.005,
        "retry_seconds": 0.01,
        "capacity_wait_seconds": 0.005,
    }
    return handler(
        kafka,
        destination,
        breaker=BreakerTiming(QUICK, QUICK),
        sender={"rejection": QUICK},
        buffers=BufferLimits(decode_block_bytes=1_000, chunk_bytes=1_000),
        **timing,
        **options,
    )


async def read(one, kafka, count):
    while kafka.next_offset < count:
        await one.records(kafka.poll(20))
        await asyncio.sleep(0)


async def read_until_committed(one, kafka):
    async with asyncio.timeout(90):
        while kafka.committed_offset != len(kafka.log):
            await one.records(kafka.poll(20))
            await asyncio.sleep(0.005)


async def test_skipped_events_behind_an_outage_do_not_stop_the_pump():
    """A filter selects few events: the many that it leaves out are delivered, behind the few that the pump holds itself."""
    kafka, destination = group(600), Destination(max_rows=2, max_uncommitted=20)
    destination.away = True
    one = process(kafka, destination, select=lambda frame: frame["id"] % 50 == 0, linger=0.3)
    await assign(one, kafka)
    await read(one, kafka, 400)
    await asyncio.sleep(0.05)
    destination.away = False
    await read_until_committed(one, kafka)
    await one.closed()
    assert sorted(destination.accepted) == list(range(0, 600, 50))


async def test_a_batch_that_lingers_is_sent_before_too_much_behind_it_is_accepted():
    """Until it is accepted nothing behind it can be committed, and a kill would send all of that again."""
    kafka = group(400, organizations=20)
    destination = Destination(max_uncommitted=40, in_flight_bodies=1, routes={"org5": "index5"})
    one = process(kafka, destination, linger=3600)
    await assign(one, kafka)
    most = 0
    async with asyncio.timeout(120):
        while len(destination.accepted) <= 300:
            await one.records(kafka.poll(20))
            await asyncio.sleep(0.005)
            most = max(most, one._assignment._commits.uncommitted())
    assert most <= 40 + 10 + 20  # a body in flight, and the rest of a decoded batch
    await one.stop(0)
    await one.closed()


async def test_rejected_bodies_that_wait_for_an_acceptance_do_not_stop_the_pump():
    """Only the next bodies can be accepted, and they wait for offsets that the rejected ones hold back."""
    kafka, destination = group(300), Destination(max_uncommitted=40)
    destination.bad = frozenset(range(0, 60, 7))
    one = process(kafka, destination)
    await assign(one, kafka)
    await read_until_committed(one, kafka)
    await one.closed()
    assert sorted(destination.accepted) == sorted(set(range(300)) - destination.bad)
    dead = {offset for offset, *_ in one._pipeline.flow.dead_letters.put_records}
    assert dead == destination.bad


@pytest.mark.parametrize("seed", range(FIRST, FIRST + COUNT))
async def test_whatever_is_skipped_routed_rejected_or_refused_all_is_committed_in_the_end(seed):
    """While Kafka refuses commits the bound holds; once the destination and Kafka accept, no record waits for another."""
    chance = random.Random(seed)
    count, every, organizations = chance.randint(200, 600), chance.choice((1, 3, 40)), chance.choice((1, 7))
    kafka = group(count, organizations)
    kafka.max_metadata = chance.choice((0, 60, 4096))
    destination = Destination(
        chance.choice((1, 10, None)),
        max_uncommitted=chance.choice((10, 50)),
        single_partition=chance.random() < 0.5,
        in_flight_bodies=chance.choice((1, 4, None)),
        routes={f"org{number}": f"index{number % 2}" for number in range(0, organizations - 1, 2)},
    )
    destination.bad = frozenset(chance.sample(range(count), chance.choice((0, 0, 2, 9))))
    one = process(
        kafka,
        destination,
        select=lambda frame: frame["id"] % every == 0,
        linger=chance.choice((0.005, 0.05, 0.5)),
    )
    await assign(one, kafka)
    for _ in range(15):
        destination.away, kafka.rejects_commits = chance.random() < 0.4, chance.random() < 0.4
        await one.records(kafka.poll(chance.choice((1, 20, 100))))
        await asyncio.sleep(chance.choice((0, 0.01)))
    destination.away = kafka.rejects_commits = False
    await read_until_committed(one, kafka)
    await one.closed()
    dead = {offset for offset, *_ in one._pipeline.flow.dead_letters.put_records}
    assert sorted([*destination.accepted, *dead]) == list(range(0, count, every))
    assert dead <= destination.bad
