"""Registries that were emptied, filled anew, or are wrong: what becomes of the events."""

import copy

import pytest
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from consumer.timing import BackoffCurve, SchemaHoldTiming
from relay.avro.codec import SchemaId
from relay.schema_registry.client import Unavailable
from tests.support.fake_sentinel import FakeSentinel
from tests.support.in_memory_group import A, B, FakeGroup, FakeSchemaStore, assign, counters, handler
from tests.support.messages import AUDIT_EVENT, REF, ForeignSchemaEncoder, event, message
from tests.support.waiting import wait_until

FOREIGN = {"type": "record", "name": "Foreign", "fields": [{"name": "a", "type": "long"}]}
QUICK = SchemaHoldTiming(BackoffCurve(0.02, 0.02))


def newer(*names):
    """A version of a release to come, which this one does not have."""
    schema = copy.deepcopy(AUDIT_EVENT)
    schema["fields"][4:4] = [{"name": name, "type": ["null", "boolean"], "default": None} for name in names]
    return schema


V2, V3 = newer("automated"), newer("automated", "privileged")


def of(schema, number, **fields):
    return message(event(number), ForeignSchemaEncoder(schema, REF), offset=number, **fields)


def corrupt(number):
    """A record that holds its key, and lost its last bytes."""
    each = message(event(number), offset=number)
    each.value = each.value[:-3]
    return each


class World:
    """One process, with a registry that tests change; `log` replaces the events of partition A."""

    def __init__(self, log, *, hold=QUICK):
        self.registry, self.destination, self.store = CollectorRegistry(), FakeSentinel(), FakeSchemaStore()
        self.kafka = FakeGroup(0)
        self.kafka.log = log
        self.handler = handler(
            self.kafka, self.destination, registry=self.registry, schema_store=self.store, schema_hold=hold
        )

    @property
    def problem(self):
        problem = self.handler._pipeline.flow.state.problem
        return None if problem is None else problem.reason

    @property
    def dead_letters(self):
        return [offset for offset, _, _ in self.handler._pipeline.flow.dead_letters.put_records]

    async def read(self, count):
        await self.handler.records(self.kafka.poll(count))

    async def start(self):
        await assign(self.handler, self.kafka)

    async def all_committed(self):
        await wait_until(lambda: self.kafka.committed_offset == len(self.kafka.log))
        await self.handler.closed()


@pytest.mark.parametrize("answer", [None, FOREIGN, V2], ids=["emptied", "filled anew", "another version"])
async def test_a_registry_that_is_wrong_about_a_known_version_costs_no_event(answer):
    """The relay has its own versions, and key, timestamp and length of each record prove the right one."""
    world = World([message(event(number), offset=number) for number in range(40)])
    world.store.answers = {} if answer is None else {REF: answer}
    with capture_logs() as logs:
        await world.start()
        await world.read(20)
        await world.read(20)
        await world.all_committed()
    assert sorted(world.destination.accepted) == list(range(40))
    assert (world.dead_letters, world.problem) == ([], None)
    assert len([entry for entry in logs if entry["event"].startswith("Schema does not fit")]) == 1


@pytest.mark.parametrize(
    "answer", [None, FOREIGN, AUDIT_EVENT], ids=["emptied", "filled anew", "an older one"]
)
async def test_events_of_a_newer_release_wait_until_the_registry_is_right_again(answer):
    """The partition waits with a sentence, no event is a dead letter, and it goes on by itself."""
    world = World([of(V2, number) for number in range(20)])
    world.store.answers = {} if answer is None else {REF: answer}
    await world.start()
    await world.read(12)
    await wait_until(lambda: world.problem is not None)
    await world.read(8)
    assert "events, partition 0, from offset 0 on wait" in world.problem
    assert "The schema registry at https://registry.example has no schema for schema id 7" in world.problem
    assert "upgrade" in world.problem
    assert world.handler.oldest_seconds() > 3000
    assert (world.destination.accepted, world.dead_letters, world.kafka.committed_offset) == ([], [], 0)

    world.store.answers = {REF: V2}
    await world.all_committed()
    assert sorted(world.destination.accepted) == list(range(20))
    assert (world.dead_letters, world.problem) == ([], None)


async def test_an_id_that_was_given_to_another_schema_is_looked_up_again():
    """While the process runs, the registry is filled anew: its id 7 now is a version that did not exist before."""
    world = World([of(V2, number) if number < 10 else of(V3, number) for number in range(20)])
    world.store.answers = {REF: V2}
    await world.start()
    await world.read(10)
    await wait_until(lambda: world.kafka.committed_offset == 10)
    world.store.answers = {REF: V3}
    await world.read(10)
    await world.all_committed()
    assert sorted(world.destination.accepted) == list(range(20))
    assert world.dead_letters == []


async def test_a_corrupt_record_among_good_ones_is_a_dead_letter_alone():
    world = World(
        [corrupt(number) if number == 5 else message(event(number), offset=number) for number in range(20)]
    )
    await world.start()
    await world.read(20)
    await world.all_committed()
    assert world.dead_letters == [5]
    assert counters(world.registry) == (20, [19, 0, 1, 0])


async def test_a_corrupt_record_after_good_ones_is_a_dead_letter_once_its_schema_is_confirmed():
    """It is read alone, so the registry is asked again: its schema is the one that decoded the others."""
    world = World([message(event(0), offset=0), corrupt(1)])
    await world.start()
    await world.read(1)
    await wait_until(lambda: world.kafka.committed_offset == 1)
    await world.read(1)
    await world.all_committed()
    assert (world.dead_letters, world.problem) == ([1], None)


async def test_a_corrupt_first_record_waits_for_the_next_one():
    """Nothing shows yet whether the record or the schema is wrong; the next event shows it."""
    world = World([corrupt(0), message(event(1), offset=1)])
    await world.start()
    await world.read(1)
    await wait_until(lambda: world.problem is not None)
    assert world.dead_letters == []
    await world.read(1)
    await world.all_committed()
    assert (world.dead_letters, world.destination.accepted, world.problem) == ([0], [1], None)


async def test_other_partitions_go_on_while_one_waits():
    world = World([])
    world.store.answers = {}
    world.handler.assigned(world.kafka, {A, B})
    await wait_until(lambda: world.handler.ready)
    mine = [message(event(number), offset=number, partition=1) for number in range(10)]
    await world.handler.records({A: [of(V2, number) for number in range(10)], B: mine})
    await wait_until(lambda: len(world.destination.accepted) == 10)
    assert "partition 0" in world.problem
    await world.handler.closed()
    assert (world.problem, world.dead_letters) == (None, [])
    assert counters(world.registry) == (20, [10, 0, 0, 10])


async def test_a_held_partition_is_read_up_to_a_bound():
    """Reading stops when enough records are held, and goes on when they are released."""
    world = World(
        [of(V2, number) for number in range(40)], hold=SchemaHoldTiming(QUICK.look_up, held_bytes=1000)
    )
    world.store.answers = {}
    await world.start()
    await world.read(20)
    await wait_until(lambda: world.kafka.paused)
    await world.read(20)
    assert world.kafka.next_offset == 20
    world.store.answers = {REF: V2}
    await wait_until(lambda: not world.kafka.paused)
    await world.read(20)
    await world.all_committed()
    assert sorted(world.destination.accepted) == list(range(40))


@pytest.mark.parametrize("others", [0, 1, 9], ids=["alone", "with one other", "among others"])
async def test_a_schema_that_the_registry_denies_holds_its_partition_alone(others):
    """One id that the registry does not give out now stops no other partition, and its event is no dead letter."""
    denied = message(event(0), ForeignSchemaEncoder(V2, SchemaId(99)), offset=0)
    world = World([])
    world.store.answers[SchemaId(99)] = Unavailable("The registry denies the id 99 (403).")
    world.handler.assigned(world.kafka, {A, B})
    await wait_until(lambda: world.handler.ready)
    behind = [message(event(number), offset=number) for number in range(1, others + 1)]
    await world.handler.records({A: [denied, *behind], B: [message(event(100), offset=0, partition=1)]})
    await wait_until(lambda: 100 in world.destination.accepted and world.problem is not None)
    assert "The registry denies the id 99 (403)." in world.problem
    assert (world.destination.accepted, world.dead_letters) == ([100], [])

    world.store.answers[SchemaId(99)] = V2
    await wait_until(lambda: len(world.destination.accepted) == others + 2)
    assert (world.problem, world.dead_letters) == (None, [])
    assert world.destination.accepted == [100, *range(others + 1)]
    await world.handler.closed()
