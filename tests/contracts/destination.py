"""The contract suite of destinations: each function proves one claim about a kind, against its simulator.

`test_destinations.py` runs all of them for each kind of the table.
"""

import asyncio
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from hypothesis import given, settings
from prometheus_client import CollectorRegistry

from consumer.decoding.columns import decode
from consumer.delivery.batch import Rows
from consumer.destinations.contract import Body
from consumer.destinations.outcome import Outcome, Paused, Reject, Retry, Sent
from consumer.offsets.tracker import TrackedRecords
from consumer.timing import BackoffCurve, BreakerTiming
from tests.contracts.peers import Peer
from tests.support.group_on_paper import FakeGroup, assign, counters, handler, kill
from tests.support.messages import WRITER_SCHEMAS, Message, event, event_lists, message
from tests.support.waiting import wait_until

QUICK = BackoffCurve(0.02, 0.1)
CONFIG = {"breaker": BreakerTiming(QUICK, QUICK), "sender": {"rejection": QUICK, "defect": QUICK}}


@dataclass
class Case:
    """One kind, opened, with its peer."""

    kind: Any
    peer: Peer
    live: Any
    registry: CollectorRegistry = field(default_factory=CollectorRegistry)

    def handler(self, kafka, **options):
        """A pipeline to the live stream, as one process has it."""
        return handler(kafka, self.live, registry=CollectorRegistry(), **CONFIG | options)


@asynccontextmanager
async def opened(kind, peer):
    async with kind.open("target", peer.config, kind.request_timeout_seconds) as streams:
        yield Case(kind, peer, streams["live"])


def uids(numbers):
    return [f"acme.atlassian.net/{number}" for number in numbers]


def encoded(destination, events):
    """The events as rows; raises what encoding raises."""
    return destination.encode(decode([message(each) for each in events], WRITER_SCHEMAS).frame)


def body_of(destination, events):
    """One body of these events, as the sender would build it."""
    rows = encoded(destination, events)
    return Body(destination.body(rows), len(rows), destination.limits.format.size(rows), ())


async def each_answer_has_an_outcome(case):
    """Every answer that the kind knows is the outcome that its page says, no exception, within the time; then the next is sent."""
    for name, answer in case.peer.answers.items():
        answer.play()
        async with asyncio.timeout(case.kind.request_timeout_seconds):
            outcome = await case.live.send(body_of(case.live, [event(number) for number in range(3)]))
        assert type(outcome) is answer.outcome, (name, outcome)
        assert isinstance(outcome, Outcome)
        if not isinstance(outcome, Sent):
            assert outcome.reason, name
        answer.over()
        assert await case.live.send(body_of(case.live, [event(9)])) == Sent(), name


async def history_never_reaches_the_live_stream(case):
    """A body of the history stream is stored there alone, and a body of the live stream in live alone."""
    async with case.kind.open("target", case.peer.config, case.kind.request_timeout_seconds) as streams:
        if "history" not in streams:
            return
        assert await streams["history"].send(body_of(streams["history"], [event(1)])) == Sent()
        assert await streams["live"].send(body_of(streams["live"], [event(2)])) == Sent()
    assert (case.peer.stored_history(), case.peer.stored()) == (uids([1]), uids([2]))


async def a_request_without_an_answer_ends_within_its_time(case):
    """A peer that never answers is a Retry when the time is over, and a cancellation ends the call at once."""
    async with case.kind.open("target", case.peer.config, 0.3) as streams:
        body = body_of(streams["live"], [event(1)])
        release = case.peer.hold()
        async with asyncio.timeout(30):
            assert isinstance(await streams["live"].send(body), Retry)
        call = asyncio.create_task(case.live.send(body))
        await asyncio.sleep(0.1)
        call.cancel()
        await asyncio.wait({call}, timeout=5)
        assert call.cancelled()
        release()


async def any_event_becomes_a_row_within_the_limits(case):
    """One row an event, none larger than a body; a body is exactly as large as its format says, and is built the same twice."""
    body_format = case.live.limits.format

    @given(event_lists)
    @settings(max_examples=60, deadline=None)
    def check(events):
        rows = encoded(case.live, events)
        assert len(rows) == len(events)
        assert rows.longest <= body_format.max_row_bytes
        assert all(body_format.separator not in row for row in rows) or body_format.separator == b","
        assert case.live.body(rows) == case.live.body(encoded(case.live, events))

    check()
    long = event(1, description="x" * 5_000_000, unmodeled="y" * 2_000_000)
    assert encoded(case.live, [long]).longest <= body_format.max_row_bytes
    assert len(encoded(case.live, [])) == 0


async def the_limits_agree(case):
    """A request ends within its limit, a body has room for a row, and more may be in flight than one body."""
    limits = case.live.limits
    assert limits.request_timeout_seconds == case.kind.request_timeout_seconds < 45
    assert limits.format.max_row_bytes > 0
    assert limits.in_flight_bytes >= limits.format.max_bytes
    assert limits.max_uncommitted >= (limits.format.max_rows or 1)
    assert case.live.address
    assert case.live.config_hint.endswith(".")


async def a_probe_stores_nothing(case):
    """`jira-relay check` makes a request that stores no row, and sees a wrong credential."""
    assert await case.live.probe() == Sent()
    repair = case.peer.break_credential()
    assert isinstance(await case.live.probe(), Paused)
    repair()
    assert await case.live.probe() == Sent()
    assert case.peer.stored() == []


async def every_event_arrives_once_in_calm(case):
    kafka = FakeGroup(1000)
    one = case.handler(kafka)
    await assign(one, kafka)
    await one.records(kafka.poll(1000))
    await wait_until(lambda: kafka.committed_offset == 1000)
    await one.closed()
    assert sorted(case.peer.stored()) == sorted(uids(range(1000)))


async def a_kill_before_a_request_repeats_nothing(case):
    """Records that were read and not sent are the next owner's."""
    kafka = FakeGroup(30)
    one = case.handler(kafka, linger=60)
    await assign(one, kafka)
    await one.records(kafka.poll(30))
    await kill(one, kafka)
    await _another_owner_delivers(case, kafka, repeats=set())


async def a_kill_in_a_request_repeats_nothing_without_effect(case):
    """The peer has not obeyed the request that was under way."""
    kafka = FakeGroup(30)
    one = case.handler(kafka)
    await assign(one, kafka)
    release = case.peer.hold()
    await one.records(kafka.poll(30))
    await asyncio.sleep(0.3)
    await kill(one, kafka)
    release()
    await _another_owner_delivers(case, kafka, repeats=set())


async def a_kill_in_a_request_repeats_only_its_rows(case):
    """The peer has obeyed, and its answer is lost: nobody can know, so these rows are sent again, and no others."""
    kafka = FakeGroup(30)
    one = case.handler(kafka)
    await assign(one, kafka)
    await one.records(kafka.poll(10))
    await wait_until(lambda: kafka.committed_offset == 10)
    release = case.peer.lose_answer()
    await one.records(kafka.poll(20))
    await wait_until(lambda: len(case.peer.stored()) == 30)
    await kill(one, kafka)
    release()
    await _another_owner_delivers(case, kafka, repeats=set(uids(range(10, 30))))


async def a_kill_before_a_commit_repeats_only_uncommitted_rows(case):
    """Accepted and not committed: the next owner cannot know."""
    kafka = FakeGroup(30)
    one = case.handler(kafka)
    await assign(one, kafka)
    await one.records(kafka.poll(10))
    await wait_until(lambda: kafka.committed_offset == 10)
    kafka.refuses_commits = True
    await one.records(kafka.poll(20))
    await wait_until(lambda: len(case.peer.stored()) == 30)
    await kill(one, kafka)
    await _another_owner_delivers(case, kafka, repeats=set(uids(range(10, 30))))


async def _another_owner_delivers(case, kafka, *, repeats):
    count = len(kafka.log)
    another = case.handler(kafka)
    await assign(another, kafka)
    await another.records(kafka.poll(count))
    await wait_until(lambda: kafka.committed_offset == count)
    await another.closed()
    stored = case.peer.stored()
    assert set(stored) == set(uids(range(count)))
    assert {uid for uid in stored if stored.count(uid) > 1} <= repeats


async def one_rejected_row_among_a_thousand_is_the_only_dead_letter(case):
    kafka = FakeGroup(1040)
    one = case.handler(kafka)
    (bad,) = uids([500])
    case.peer.reject(bad)
    await assign(one, kafka)
    await one.records(kafka.poll(1000))
    for _ in range(4):
        await asyncio.sleep(0.3)
        await one.records(kafka.poll(10))
    await wait_until(lambda: kafka.committed_offset == 1040)
    await one.closed()
    assert [offset for offset, *_ in one._pipeline.stream.dead_letters.put_records] == [500]
    assert sorted(case.peer.stored()) == sorted(set(uids(range(1040))) - {bad})


async def rows_to_retry_are_sent_alone(case):
    """Of a kind that answers by row: what was accepted is never sent again."""
    if not case.peer.by_row:
        return
    kafka = FakeGroup(300)
    one = case.handler(kafka)
    case.peer.answers["some throttled"].play()
    await assign(one, kafka)
    await one.records(kafka.poll(300))
    await wait_until(lambda: kafka.committed_offset == 300)
    await one.closed()
    assert sorted(case.peer.stored()) == sorted(uids(range(300)))
    assert case.peer.stored()[-1] == uids([1])[0]


async def a_peer_that_rejects_everything_costs_no_event(case):
    """Every body is rejected for a while: nothing becomes a dead letter, the status says so, and all of it arrives at last."""
    rejecting = [each for each in case.peer.answers.values() if each.outcome is Reject]
    kafka = FakeGroup(40)
    one = case.handler(kafka)
    stream = one._pipeline.stream
    for answer in rejecting:
        for _ in range(1 if case.peer.by_row else 60):
            answer.play()
    await assign(one, kafka)
    await one.records(kafka.poll(40))
    await wait_until(lambda: stream.state.problem is not None)
    assert case.live.config_hint in stream.state.problem.reason
    for answer in rejecting:
        answer.over()
    await wait_until(lambda: kafka.committed_offset == 40)
    await one.closed()
    assert stream.dead_letters.put_records == []
    assert sorted(case.peer.stored()) == sorted(uids(range(40)))


async def a_wrong_credential_pauses_and_its_repair_is_noticed(case):
    """The reason names the setting or the right to fix, and nothing has to be restarted."""
    kafka = FakeGroup(20)
    one = case.handler(kafka)
    breaker = one._pipeline.stream.breaker
    repair = case.peer.break_credential()
    await assign(one, kafka)
    await one.records(kafka.poll(20))
    await wait_until(lambda: isinstance(breaker.problem, Paused))
    assert "destinations.target" in breaker.problem.reason or "role" in breaker.problem.reason
    repair()
    await wait_until(lambda: kafka.committed_offset == 20)
    assert breaker.problem is None
    await one.closed()
    assert sorted(case.peer.stored()) == sorted(uids(range(20)))


async def a_stop_ends_within_its_time(case):
    """Also while the peer does not answer; what was not accepted is the next owner's."""
    kafka = FakeGroup(20)
    one = case.handler(kafka)
    await assign(one, kafka)
    release = case.peer.hold()
    await one.records(kafka.poll(20))
    await asyncio.sleep(0.3)
    started = time.monotonic()
    await one.stop(1.0)
    assert time.monotonic() - started < 2.5
    await one.closed()
    release()
    assert kafka.committed_offset == 0
    await _another_owner_delivers(case, kafka, repeats=set())


async def the_counters_add_up(case):
    """Read = accepted + skipped + dead letters, with a filter, garbage and a rejected row."""
    kafka, registry = FakeGroup(600), CollectorRegistry()
    for offset in (3, 250):
        kafka.log[offset] = Message(b"garbage", b"key", 1, offset=offset)
    (bad,) = uids([101])
    case.peer.reject(bad)
    one = handler(kafka, case.live, registry=registry, select=lambda frame: frame["id"] % 10 != 0, **CONFIG)
    await assign(one, kafka)
    for _ in range(6):
        await one.records(kafka.poll(100))
        await asyncio.sleep(0.2)
    await wait_until(lambda: kafka.committed_offset == 600)
    await one.closed()
    read, (accepted, skipped, dead_lettered, released) = counters(registry)
    assert (read, released) == (600, 0)
    assert (accepted, skipped, dead_lettered) == (538, 59, 3)
    assert len(case.peer.stored()) == accepted


async def a_body_is_the_same_on_every_try(case):
    """Names and ids that are made of its offsets do not depend on the try."""
    records = [message(event(number), offset=number) for number in range(5)]
    rows = Rows(encoded(case.live, [event(number) for number in range(5)]), TrackedRecords(records))
    assert case.live.body(rows.encoded) == case.live.body(rows.select(range(5)).encoded)


CLAIMS = (
    each_answer_has_an_outcome,
    history_never_reaches_the_live_stream,
    a_request_without_an_answer_ends_within_its_time,
    any_event_becomes_a_row_within_the_limits,
    the_limits_agree,
    a_probe_stores_nothing,
    every_event_arrives_once_in_calm,
    a_kill_before_a_request_repeats_nothing,
    a_kill_in_a_request_repeats_nothing_without_effect,
    a_kill_in_a_request_repeats_only_its_rows,
    a_kill_before_a_commit_repeats_only_uncommitted_rows,
    one_rejected_row_among_a_thousand_is_the_only_dead_letter,
    rows_to_retry_are_sent_alone,
    a_peer_that_rejects_everything_costs_no_event,
    a_wrong_credential_pauses_and_its_repair_is_noticed,
    a_stop_ends_within_its_time,
    the_counters_add_up,
    a_body_is_the_same_on_every_try,
)
