"""Destinations of one process: one that is away, slow or refusing holds up no other, and holds a bounded number of events."""

import asyncio
import socket
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace

import pytest

from consumer.destinations.http import HTTP
from consumer.timing import AssignmentTiming, BufferLimits, ConsumerTiming
from management.settings import Settings
from relay.kafka.aiokafka_patches import fetch_validation
from relay.status.reader import read_statuses
from simulators import faults
from simulators.http.receiver import HttpReceiver
from tests.support.pipeline_world import pipeline_world, some_events, uid, wait_until
from tests.support.running_consumer import RunningConsumer

EVENTS = 3_000
IN_FLIGHT_BYTES = 100_000
TIMING = ConsumerTiming(
    assignment=AssignmentTiming(
        buffers=BufferLimits(decode_block_bytes=50_000, record_buffer_bytes=100_000, chunk_bytes=20_000)
    )
)
TROUBLES = {
    "throttled": faults.respond_with(429, headers={"Retry-After": "1"}),
    "refusing": faults.respond_with(422),
    "forbidding": faults.respond_with(403),
    "failing": faults.respond_with(503),
    "silent": faults.hang(),
    "slow": faults.delayed_response(6),
    "resetting": faults.reset(),
}
"""A fault of each receiver that is in trouble."""


@asynccontextmanager
async def open_with_small_limits(name, config, seconds):
    async with HTTP.open(name, config, seconds) as flows:
        for each in flows.values():
            each.limits = replace(each.limits, in_flight_bytes=IN_FLIGHT_BYTES)
        yield flows


def destination(url):
    return {"kind": "http", "url": url, "max_events": 50, "max_requests": 2}


class Destinations:
    """A healthy receiver, one for each trouble, and an address at which nobody listens."""

    def __init__(self, receivers, away_port):
        self.receivers = receivers
        self.settings = {name: destination(each.url("live")) for name, each in receivers.items()} | {
            "away": destination(f"http://127.0.0.1:{away_port}/live")
        }

    def count(self, name):
        """Return how many events a receiver has, each counted once."""
        return len(set(self.receivers[name].stored_ids("live")))


@asynccontextmanager
async def all_destinations():
    async with AsyncExitStack() as stack:
        receivers = {name: await stack.enter_async_context(HttpReceiver()) for name in ("healthy", *TROUBLES)}
        for name, fault in TROUBLES.items():
            receivers[name].fault(fault, rate=1)
        # Bound and not listening: connections are refused, and no other server gets the port.
        away = stack.enter_context(socket.socket())
        away.bind(("127.0.0.1", 0))
        yield Destinations(receivers, away.getsockname()[1])


def held(consumer, name):
    """Return the number of events that the consumer has read for a destination and not settled."""

    def metric(metric_name, **labels):
        labels = {"destination": name, "flow": "live", **labels}
        return consumer.registry.get_sample_value(f"jira_relay_consumer_{metric_name}", labels) or 0

    settled = ("events_accepted_total", "events_skipped_total", "events_released_total")
    dead = sum(metric("events_dead_lettered_total", reason=each) for each in ("unreadable", "rejected"))
    return metric("events_read_total") - dead - sum(map(metric, settled))


async def published_state(world, name, state):
    """Wait until the newest published status of a destination has a state. Statuses are published once a second."""
    async with asyncio.timeout(60):
        while True:
            status = (await read_statuses(world.connection, world.topics.status)).get(f"destination/{name}")
            if status is not None and status.state == state:
                return
            await asyncio.sleep(0.1)


@pytest.mark.timeout(900)
async def test_a_destination_in_trouble_holds_up_no_other(kafka, prefix, monkeypatch):
    """The healthy one gets every event meanwhile, the others a bounded number; mended, each gets every event."""
    monkeypatch.setattr(fetch_validation, "POLL_BYTES", 50_000)  # as small as the buffers of TIMING
    async with all_destinations() as destinations, pipeline_world(kafka, prefix, monkeypatch) as world:
        await world.publish(some_events(EVENTS))
        settings = Settings.model_validate(
            {
                "kafka": world.connection.kafka,
                "consumer": {"linger_seconds": 0.1, "start": "earliest"},
                "destinations": destinations.settings,
            }
        )
        kinds = {"http": replace(HTTP, open=open_with_small_limits)}
        consumer = RunningConsumer(settings, world.connection, TIMING, kinds)
        try:
            await wait_until(lambda: destinations.count("healthy") == EVENTS, 150)
            await wait_until(lambda: all(held(consumer, name) for name in (*TROUBLES, "away")))
            waiting = {name: held(consumer, name) for name in destinations.settings}
            assert all(count < EVENTS / 2 for count in waiting.values()), waiting
            assert destinations.count("slow") < EVENTS
            assert not consumer.task.done()
            for name in ("forbidding", "refusing", "failing", "resetting"):
                assert not destinations.count(name)
            await published_state(world, "healthy", "active")

            for each in destinations.receivers.values():
                each.clear_faults()
            for name in (*TROUBLES, "healthy"):
                await wait_until(lambda name=name: destinations.count(name) == EVENTS, 150)
        finally:
            await consumer.stop()

    for name in ("healthy", "throttled", "refusing", "forbidding", "failing"):
        assert sorted(destinations.receivers[name].stored_ids("live")) == sorted(map(uid, world.published)), (
            name
        )
