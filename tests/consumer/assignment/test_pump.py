"""From records to bodies: filters, defects, limits, and the counters of what became of each record."""

import time
from dataclasses import replace
from types import SimpleNamespace

import orjson
import pytest
from prometheus_client import CollectorRegistry

from consumer.assignment import assignment
from consumer.config import DestinationSettings
from consumer.decoding.event_rules import compile_rules
from consumer.destinations.contract import BodyFormat, Limits
from consumer.destinations.outcome import Paused
from consumer.formats.encoded_rows import EncodedRows
from consumer.timing import BackoffCurve, BufferLimits
from tests.support.fake_sentinel import FakeSentinel
from tests.support.in_memory_group import (
    A,
    B,
    FakeGroup,
    FakeSchemaStore,
    assign,
    count,
    counters,
    handler,
    kill,
)
from tests.support.messages import Message, event, message
from tests.support.waiting import wait_until


async def test_skipped_events_are_delivered_at_once_and_counted():
    """A filter leaves every third event out: it is never sent, and holds no commit back."""
    kafka, destination, registry = FakeGroup(30), FakeSentinel(), CollectorRegistry()
    kafka.log[7] = Message(b"garbage", b"key", 1, offset=7)
    one = handler(kafka, destination, select=lambda frame: frame["id"] % 3 != 0, registry=registry)
    await assign(one, kafka)
    await one.records(kafka.poll(30))
    await wait_until(lambda: kafka.committed_offset == 30)
    await one.closed()
    assert sorted(destination.accepted) == [number for number in range(30) if number % 3 and number != 7]
    assert counters(registry) == (30, [19, 10, 1, 0])
    assert one._pipeline.flow.state.skipped == 10


async def test_a_batch_of_skipped_events_alone_is_committed():
    kafka, destination = FakeGroup(30), FakeSentinel()
    one = handler(kafka, destination, select=lambda frame: frame["id"] < 0, idle_commit_interval_seconds=3600)
    await assign(one, kafka)
    await one.records(kafka.poll(30))
    await wait_until(lambda: kafka.committed_offset == 30)
    await one.closed()
    assert destination.bodies == []


async def test_counters_add_up_over_a_revocation():
    """Records that were read and not delivered are released, and read again by the next owner."""
    kafka, destination, registry = FakeGroup(40), FakeSentinel(), CollectorRegistry()
    one = handler(kafka, destination, registry=registry, answer_seconds=0.05)
    await assign(one, kafka)
    destination.unanswered = {5}
    for sent in (1, 2):
        await one.records(kafka.poll(10))
        await wait_until(lambda sent=sent: len(destination.bodies) == sent)
    await wait_until(lambda: len(destination.accepted) == 10)
    await one.records(kafka.poll(10))
    await one.revoked({A})
    assert counters(registry) == (30, [10, 0, 0, 20])
    destination.unanswered = set()
    await assign(one, kafka)
    await one.records(kafka.poll(40))
    await wait_until(lambda: kafka.committed_offset == 40)
    await one.closed()
    read, ends = counters(registry)
    assert (read, ends) == (30 + 30, [40, 0, 0, 20])


@pytest.mark.parametrize("broken", ["encode", "select"])
async def test_a_defect_before_the_request_is_named_and_loses_nothing(broken):
    """An encoder or a filter that fails is tried again; the membership goes on, and no event is skipped or dropped."""

    class Broken(FakeSentinel):
        fails = True

        def encode(self, events):
            if self.fails and broken == "encode":
                raise TypeError("made up")
            return super().encode(events)

    kafka, destination, registry = FakeGroup(10), Broken(), CollectorRegistry()

    def select(frame):
        if destination.fails and broken == "select":
            raise TypeError("made up")
        return frame["id"] >= 0

    one = handler(
        kafka, destination, select=select, registry=registry, sender={"defect": BackoffCurve(0.01, 0.01)}
    )
    state = one._pipeline.flow.state
    await assign(one, kafka)
    await one.records(kafka.poll(10))
    await wait_until(lambda: state.problem is not None)
    assert "TypeError" in state.problem.reason
    await one.records({})
    destination.fails = False
    await wait_until(lambda: kafka.committed_offset == 10)
    assert state.problem is None
    assert sorted(destination.accepted) == list(range(10))
    assert count(registry, "defects") > 0
    await one.closed()


async def test_a_defect_while_a_schema_is_looked_up_is_named_and_ends_no_membership():
    class Broken(FakeSchemaStore):
        fails = True

        async def resolve(self, ref):
            if self.fails:
                raise UnicodeEncodeError("ascii", "ÿ", 0, 1, "made up")
            return await super().resolve(ref)

    kafka, destination, store = FakeGroup(10), FakeSentinel(), Broken()
    one = handler(kafka, destination, schema_store=store, sender={"defect": BackoffCurve(0.01, 0.01)})
    state = one._pipeline.flow.state
    await assign(one, kafka)
    await one.records(kafka.poll(10))
    await wait_until(lambda: state.problem is not None)
    assert "UnicodeEncodeError" in state.problem.reason
    await one.records({})
    store.fails = False
    await wait_until(lambda: kafka.committed_offset == 10)
    assert state.problem is None
    await one.closed()


async def test_a_row_that_fits_into_no_body_becomes_a_dead_letter_alone():
    """An encoder that breaks its limit for one event costs that event alone."""
    kafka, destination = FakeGroup(10), FakeSentinel()
    small = BodyFormat(200, b"[", b",", b"]")
    destination.limits = Limits(small)
    destination.encode = lambda frame: EncodedRows.of(
        [b'{"EventId":%d,"x":"%s"}' % (n, b"x" * (300 if n == 4 else 5)) for n in frame["id"]], b","
    )
    one = handler(kafka, destination)
    await assign(one, kafka)
    await one.records(kafka.poll(10))
    await wait_until(lambda: kafka.committed_offset == 10)
    await one.closed()
    assert sorted(destination.accepted) == [0, 1, 2, 3, 5, 6, 7, 8, 9]
    ((offset, reason, _),) = one._pipeline.flow.dead_letters.put_records
    assert (offset, "fits into no body of 200" in reason) == (4, True)


async def test_a_destination_may_want_bodies_of_one_partition():
    """Its bodies are named by partition and first offset; each partition waits for its own linger."""

    class Two(FakeGroup):
        def poll_both(self):
            b = [
                Message(each.value, each.key, each.timestamp, partition=1, offset=each.offset)
                for each in self.log
            ]
            return {A: self.log, B: b}

    kafka, destination = Two(20), FakeSentinel(single_partition=True, linger_seconds=0.05)
    one = handler(kafka, destination, linger=0.05)
    one.assigned(kafka, {A, B})
    await wait_until(lambda: one.ready)
    await one.records(kafka.poll_both())
    await wait_until(lambda: len(destination.accepted) == 40)
    await one.closed()
    ranges = [each for body in destination.sent for each in body.offsets]
    assert sorted((each.partition, each.first, each.last) for each in ranges) == [(0, 0, 19), (1, 0, 19)]


async def test_a_body_holds_events_of_one_route():
    """Organizations of one route share bodies, in the order of their events, and each body names its route."""
    names = ["one.example", "two.example", "three.example", "acme.atlassian.net"]
    kafka = FakeGroup(0)
    kafka.log = [
        message(event(number, organization=names[number % 4]), offset=number) for number in range(40)
    ]
    destination = FakeSentinel(routes={"one.example": "x", "three.example": "x", "two.example": "y"})
    one = handler(kafka, destination)
    await assign(one, kafka)
    await one.records(kafka.poll(40))
    await wait_until(lambda: kafka.committed_offset == 40)
    await one.closed()
    stored = {body.route: [row["EventId"] for row in orjson.loads(body.content)] for body in destination.sent}
    assert stored == {
        "x": [number for number in range(40) if number % 4 in {0, 2}],
        "y": [number for number in range(40) if number % 4 == 1],
        None: [number for number in range(40) if number % 4 == 3],
    }
    assert [(each.offsets[0].first, each.offsets[0].last) for each in destination.sent] == [
        (0, 38),
        (1, 37),
        (3, 39),
    ]


async def test_a_route_that_is_not_answered_holds_back_offsets_and_no_other_route():
    """The events of other routes are delivered, and are not sent again after a kill: only the unanswered ones are."""
    kafka = FakeGroup(0)
    kafka.log = [
        message(event(number, organization=f"org{number % 2}"), offset=number) for number in range(20)
    ]
    destination = FakeSentinel(routes={"org0": "x", "org1": "y"})
    destination.unanswered = {4}
    one = handler(kafka, destination)
    await assign(one, kafka)
    await one.records(kafka.poll(20))
    odd, even = list(range(1, 20, 2)), list(range(0, 20, 2))
    await wait_until(lambda: destination.accepted == odd)
    await wait_until(lambda: '"beyond":[]' not in kafka.stored.metadata)
    assert kafka.committed_offset == 0
    await kill(one, kafka)
    destination.unanswered = set()
    another = handler(kafka, destination)
    await assign(another, kafka)
    await another.records(kafka.poll(20))
    await wait_until(lambda: kafka.committed_offset == 20)
    await another.closed()
    assert destination.accepted == odd + even


async def test_many_routes_gather_no_more_than_may_be_in_flight():
    """A thousand open bodies of a megabyte each would not fit into memory: the largest are sent before they are full or old."""
    kafka = FakeGroup(0)
    kafka.log = [
        message(event(number, organization=f"org{number % 30}", description="x" * 500), offset=number)
        for number in range(300)
    ]
    destination = FakeSentinel(
        routes={f"org{number}": f"index{number}" for number in range(30)}, in_flight_bytes=20_000
    )
    destination.limits = replace(
        destination.limits, format=replace(destination.limits.format, max_bytes=20_000)
    )
    one = handler(kafka, destination, linger=3600, buffers=BufferLimits(decode_block_bytes=1))
    await assign(one, kafka)
    await one.records(kafka.poll(300))
    await wait_until(lambda: len(destination.accepted) > 200)
    held = sum(batch.size for batch in one._assignment._pump._batches.values())
    assert 0 < held <= 20_000
    await one.stop(0.1)
    await one.closed()


async def test_blocks_that_wait_fill_one_body_however_old_their_records_are(monkeypatch):
    """In a backlog records are older than the linger when they are decoded. The body closes once no whole block waits; the rest makes another."""
    kafka, destination = FakeGroup(60), FakeSentinel()
    buffers = BufferLimits(chunk_bytes=1, decode_block_bytes=5_000)
    one = handler(kafka, destination, linger=100, buffers=buffers)
    await assign(one, kafka)
    with monkeypatch.context() as patched:
        patched.setattr(assignment, "time", SimpleNamespace(monotonic=lambda: time.monotonic() - 1_000))
        await one.records(kafka.poll(60))
    await wait_until(lambda: kafka.committed_offset == 60)
    await one.closed()
    assert destination.bodies == [55, 5]


async def test_the_destination_sees_only_hidden_values():
    """Rows are made behind the privacy rules, while the filter decides by the values before them."""
    seen = []
    kafka, destination = FakeGroup(0), FakeSentinel()
    kafka.log = [message(event(number, authorKey=f"zoe {number % 2}"), offset=number) for number in range(10)]
    destination.encode = lambda frame: (
        seen.extend(frame["authorKey"]) or FakeSentinel.encode(destination, frame)
    )
    rules = compile_rules("soc", DestinationSettings(where="authorKey = 'zoe 1'", hide={"authorKey": "drop"}))
    one = handler(kafka, destination, select=rules.select, hide=rules.hide)
    await assign(one, kafka)
    await one.records(kafka.poll(10))
    await wait_until(lambda: kafka.committed_offset == 10)
    await one.closed()
    assert (destination.accepted, seen) == ([1, 3, 5, 7, 9], [None] * 5)


async def test_a_filter_that_fails_on_an_event_pauses_the_destination():
    """The status shows the error; no event is skipped, sent, or made a dead letter for it."""
    kafka, destination = FakeGroup(0), FakeSentinel()
    kafka.log = [message(event(number, unmodeled="no number"), offset=number) for number in range(5)]
    rules = compile_rules("soc", DestinationSettings(where="CAST(unmodeled AS BIGINT) > 1"))
    one = handler(kafka, destination, select=rules.select)
    state = one._pipeline.flow.state
    await assign(one, kafka)
    await one.records(kafka.poll(5))
    await wait_until(lambda: state.problem is not None)
    assert isinstance(state.problem, Paused)
    assert "The filter of the destination fails" in state.problem.reason
    assert "unmodeled" in state.problem.reason
    await one.closed()
    assert (destination.accepted, state.skipped, kafka.committed_offset) == ([], 0, 0)
    assert one._pipeline.flow.dead_letters.put_records == []
