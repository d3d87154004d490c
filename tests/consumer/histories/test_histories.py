"""Histories of consumers, drawn by a seed: each answer of a destination, with kills, rebalances, freezes, corruption and deletions between."""

import asyncio
import os
import random

import pytest
from prometheus_client import CollectorRegistry

from consumer.assignment.handler import AssignmentHandler
from consumer.assignment.pump import Pipeline
from consumer.assignment.start_offset_resolver import StartOffsetResolver
from consumer.decoding.schema_lookup import SchemaLookup
from consumer.delivery.circuit_breaker import RateLimit
from consumer.delivery.flow import DeliveryFlow
from consumer.delivery.route_states import RouteStates
from consumer.metrics import ConsumerMetrics
from consumer.offsets.backup import OffsetBackup
from consumer.timing import (
    AssignmentTiming,
    BackoffCurve,
    BreakerTiming,
    BufferLimits,
    RouteHoldTiming,
    SchemaHoldTiming,
    SenderTiming,
    StartTiming,
)
from relay.schema_registry.store import Unavailable
from tests.support.consumer_history import PARTITIONS, DeadLetters, MemberConsumer, MoodyDestination, Topic
from tests.support.in_memory_group import FakeSchemaStore
from tests.support.messages import WRITER_SCHEMAS

SHORT = BackoffCurve(0.005, 0.02)
SENDER = SenderTiming(
    rejection=SHORT, dead_letter=SHORT, defect=SHORT, dead_letters_at_a_time=3, request_grace_seconds=0.02
)
FIRST = int(os.environ.get("RELAY_HISTORIES_SEED", "1"))
COUNT = int(os.environ.get("RELAY_CONSUMER_HISTORIES", "5"))


class World:
    """Two places for processes, which share the partitions of a group."""

    def __init__(self, seed):
        self.chance = random.Random(seed)
        self.topic = Topic(self.chance)
        self.destination = MoodyDestination(self.topic)
        self.dead_letters = DeadLetters(self.topic)
        self.schemas = FakeSchemaStore()
        self.processes = [self.new_process(), self.new_process()]
        self.members = [None, None]
        self.zombies = []

    def new_process(self):
        metrics = ConsumerMetrics(CollectorRegistry()).for_pipeline("target", "live")
        timing = BreakerTiming(SHORT, SHORT)
        flow = DeliveryFlow(
            self.destination,
            RouteStates(RateLimit(), timing, self.destination.limits.routes),
            self.dead_letters,
            metrics,
            timing=SENDER,
        )

        async def no_backup():
            return OffsetBackup({}, 0)

        resolver = StartOffsetResolver(
            "earliest", no_backup, self.topic, metrics, StartTiming(log_end_wait_seconds=0.1)
        )
        buffers = BufferLimits(*(self.chance.choice((300, 3_000, 3_000_000)) for _ in range(3)))
        return AssignmentHandler(
            Pipeline(
                resolver,
                SchemaLookup(self.schemas, metrics),
                flow,
                0.002,
                timing=AssignmentTiming(
                    capacity_wait_seconds=0.01,
                    commit_interval_seconds=0.003,
                    idle_commit_interval_seconds=0.02,
                    retry_seconds=0.005,
                    corrupt_pause_seconds=0.02,
                    answer_seconds=0.1,
                    buffers=buffers,
                    schema_hold=SchemaHoldTiming(SHORT, held_bytes=2_000),
                    route_hold=RouteHoldTiming(0.01, 0.0, 0.02, 0.02),
                ),
            )
        )

    async def rebalance(self):
        """Revoke in good order, and hand the partitions out anew."""
        for number, member in enumerate(self.members):
            if member is not None:
                await self.processes[number].revoked(member.partitions)
        split = self.chance.choice((((0, 1), ()), ((), (0, 1)), ((0,), (1,)), ((1,), (0,))))
        for number, numbers in enumerate(split):
            self.join(number, numbers)

    def join(self, number, numbers):
        partitions = {PARTITIONS[each] for each in numbers}
        self.members[number] = MemberConsumer(self.topic, partitions)
        self.processes[number].assigned(self.members[number], partitions)

    async def freeze(self):
        """A process sleeps beyond its session: others own its partitions while its requests are still under way."""
        number = self.chance.randrange(2)
        member = self.members[number]
        if member is None:
            return
        member.valid = False
        self.zombies.append(self.processes[number])
        self.processes[number], self.members[number] = self.new_process(), None
        await self.rebalance()

    async def kill(self):
        await self.freeze()
        while self.zombies:
            zombie = self.zombies.pop()
            if zombie._assignment is not None:
                await zombie._assignment.close(finish_seconds=0, answer_seconds=0)
            await zombie.closed()

    async def poll(self):
        for handler, member in zip(self.processes, self.members, strict=True):
            if member is None or not member.partitions:
                continue
            found, failed = member.poll(self.chance.choice((1, 5, 50)))
            try:
                await handler.records(found)
                if failed:
                    await handler.out_of_range(failed)
            except AssertionError:
                raise
            except Exception:  # noqa: BLE001 - the membership ends, and begins anew
                await handler.closed()
                await self.rebalance()

    def change_commits(self):
        for member in self.members:
            if member is not None:
                member.commit_fault = self.chance.choice((None, None, "refused", "unanswered"))

    def change_schemas(self):
        self.schemas.known.clear()
        for ref, schema in WRITER_SCHEMAS.items():
            self.schemas.answers[ref] = self.chance.choice((schema, schema, Unavailable("away")))

    def append(self):
        self.topic.append(self.chance.choice((1, 5, 30)))

    def change_mood(self):
        self.destination.change_mood()

    def change_corruption(self):
        if self.chance.random() < 0.5:
            self.topic.corrupt()
        else:
            self.topic.corrupt_ranges.clear()

    def change_dead_letters(self):
        self.dead_letters.failing = self.chance.random() < 0.5

    async def step(self):
        happens = self.chance.choice(
            (
                *(self.append, self.append, self.append, self.append, self.change_mood, self.change_mood),
                *(self.rebalance, self.freeze, self.kill, self.change_corruption, self.topic.delete),
                *(self.change_commits, self.change_dead_letters, self.change_schemas),
            )
        )
        done = happens()
        if done is not None:
            await done
        for _ in range(self.chance.choice((1, 3))):
            await self.poll()
            await asyncio.sleep(self.chance.choice((0, 0.003, 0.01)))

    async def heal(self):
        """End every fault, and wait until all is delivered and committed."""
        self.destination.moods.clear()
        self.topic.corrupt_ranges.clear()
        self.dead_letters.failing = False
        self.schemas.answers = dict(WRITER_SCHEMAS.items())
        while self.zombies:
            await self.zombies.pop().closed()
        await self.rebalance()
        for number in range(6_000):
            if self.is_complete():
                return
            if number % 20 == 0:
                self.topic.append(1)  # evidence that rows before were bad
            await self.poll()
            await asyncio.sleep(0.005)
        raise AssertionError(f"not delivered: {self.undelivered()}; committed {self.topic.committed}")

    def undelivered(self):
        return [
            (each.partition, offset)
            for each in PARTITIONS
            for offset in self.topic.records[each]
            if (each, offset) not in self.topic.done
        ]

    def is_complete(self):
        committed = self.topic.committed
        return not self.undelivered() and all(
            each in committed and committed[each].offset >= self.topic.ends[each] for each in PARTITIONS
        )

    async def close(self):
        for handler in (*self.processes, *self.zombies):
            if handler._assignment is not None:
                await handler._assignment.close(finish_seconds=0, answer_seconds=0)
            await handler.closed()


@pytest.mark.parametrize("seed", range(FIRST, FIRST + COUNT))
async def test_whatever_happens_each_event_is_delivered_and_nothing_else_is_committed(seed):
    """At each commit everything before it was accepted, is a dead letter, or was deleted; in the end everything is."""
    world = World(seed)
    world.join(0, (0, 1))
    try:
        for _ in range(60):
            await world.step()
        await world.heal()
    finally:
        await world.close()
