"""Claims about a kind in a pipeline: kills at every step, rejected rows, a stop, counters that add up."""

import asyncio
import time

import pytest
from prometheus_client import CollectorRegistry

from consumer.destinations.outcome import Dropped, Paused, Reject
from tests.contracts.destination_case import CONFIG, feed_until, uids
from tests.contracts.peer import ROUTED_ORGANIZATION, Absent
from tests.support.in_memory_group import FakeGroup, assign, counters, handler, kill
from tests.support.messages import Message, event, message
from tests.support.waiting import wait_until


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
    kafka.rejects_commits = True
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
    kafka = FakeGroup(1600)
    one = case.handler(kafka)
    (bad,) = uids([500])
    case.can("reject")(bad)
    await assign(one, kafka)
    await one.records(kafka.poll(1000))
    dead_letters = one._pipeline.flow.dead_letters
    await feed_until(one, kafka, lambda: dead_letters.put_records)
    await wait_until(lambda: kafka.committed_offset == kafka.next_offset)
    await one.closed()
    assert [offset for offset, *_ in dead_letters.put_records] == [500]
    assert sorted(case.peer.stored()) == sorted(set(uids(range(kafka.next_offset))) - {bad})


async def a_dropped_row_is_among_the_dead_letters(case):
    """Of a kind that drops rows without naming them: all rows of the body are dead letters, and none is sent again."""
    dropping = [each for each in case.peer.answers.values() if each.outcome is Dropped]
    if not dropping:
        pytest.skip("the peer drops no row without naming it")
    for answer in dropping:
        kafka = FakeGroup(300)
        one = case.handler(kafka)
        stored = len(case.peer.stored())
        answer.play()
        await assign(one, kafka)
        await one.records(kafka.poll(300))
        await wait_until(lambda kafka=kafka: kafka.committed_offset == 300)
        answer.over()
        await one.closed()
        dead = {f"acme.atlassian.net/{offset}" for offset, *_ in one._pipeline.flow.dead_letters.put_records}
        found = case.peer.stored()[stored:]
        assert dead | set(found) == set(uids(range(300)))
        assert dead - set(found)
        assert len(found) == len(set(found))
        assert one._pipeline.flow.state.drops


async def rows_to_retry_are_sent_alone(case):
    """Of a kind that answers by row: what was accepted is never sent again."""
    if not case.peer.by_row:
        pytest.skip("the peer's answers name no rows")
    if not case.peer.retries_rows:
        pytest.skip("the peer names rows to retry only behind a rejected one")
    kafka = FakeGroup(300)
    one = case.handler(kafka)
    case.peer.answers["some throttled"].play()
    await assign(one, kafka)
    await one.records(kafka.poll(300))
    await wait_until(lambda: kafka.committed_offset == 300)
    await one.closed()
    assert sorted(case.peer.stored()) == sorted(uids(range(300)))
    assert case.peer.stored()[-1] == uids([1])[0]


async def each_organization_goes_by_its_own_route(case):
    """A kind with `by_organization` sends events of a named organization to its route alone, others to the target of all."""
    if case.peer.stored_by_route is None:
        pytest.skip("the kind has no setting by_organization")
    route = case.peer.config.by_organization[ROUTED_ORGANIZATION]
    kafka = FakeGroup(300)
    for number in range(0, 300, 3):
        kafka.log[number] = message(event(number, organization=ROUTED_ORGANIZATION), offset=number)
    one = case.handler(kafka)
    await assign(one, kafka)
    await one.records(kafka.poll(300))
    await wait_until(lambda: kafka.committed_offset == 300)
    await one.closed()
    by_route = case.peer.stored_by_route
    assert by_route(route) == [f"{ROUTED_ORGANIZATION}/{number}" for number in range(0, 300, 3)]
    assert sorted(by_route(None)) == sorted(uids(number for number in range(300) if number % 3))


async def a_peer_that_rejects_everything_costs_no_event(case):
    """Every body is rejected for a while: nothing becomes a dead letter, the status says so, and all of it arrives at last."""
    rejecting = [each for each in case.peer.answers.values() if each.outcome is Reject]
    if not rejecting:
        pytest.skip("no answer of the peer rejects a whole body")
    kafka = FakeGroup(40)
    one = case.handler(kafka)
    flow = one._pipeline.flow
    for answer in rejecting:
        for _ in range(60):
            answer.play()
    await assign(one, kafka)
    await one.records(kafka.poll(40))
    await wait_until(lambda: isinstance(flow.problem, Paused))
    assert case.live.config_hint in flow.problem.reason
    for answer in rejecting:
        answer.over()
    await wait_until(lambda: kafka.committed_offset == 40)
    await one.closed()
    assert flow.dead_letters.put_records == []
    assert sorted(case.peer.stored()) == sorted(uids(range(40)))


async def a_wrong_credential_pauses_and_its_repair_is_noticed(case):
    """The reason names the setting or the right to fix, and nothing has to be restarted."""
    kafka = FakeGroup(20)
    one = case.handler(kafka)
    breaker = one._pipeline.flow.routes.of(None).breaker
    repair = case.can("break_credential")()
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
    assert time.monotonic() - started < 15  # the answer of the peer takes a minute
    await one.closed()
    release()
    assert kafka.committed_offset == 0
    await _another_owner_delivers(case, kafka, repeats=set())


async def the_counters_add_up(case):
    """Read = accepted + skipped + dead letters, with a filter, garbage and, where the peer rejects rows, a rejected one."""
    kafka, registry = FakeGroup(1200), CollectorRegistry()
    for offset in (3, 250):
        kafka.log[offset] = Message(b"garbage", b"key", 1, offset=offset)
    (bad,) = uids([101])
    rejected = 0 if isinstance(case.peer.reject, Absent) else 1
    if rejected:
        case.peer.reject(bad)
    one = handler(kafka, case.live, registry=registry, select=lambda frame: frame["id"] % 10 != 0, **CONFIG)
    await assign(one, kafka)
    for _ in range(6):
        await one.records(kafka.poll(100))
        await asyncio.sleep(0.2)
    dead_letters = one._pipeline.flow.dead_letters
    await feed_until(one, kafka, lambda: len(dead_letters.put_records) == 2 + rejected)
    await wait_until(lambda: kafka.committed_offset == kafka.next_offset)
    await one.closed()
    read, (accepted, skipped, dead_lettered, released) = counters(registry)
    assert (read, released) == (kafka.next_offset, 0)
    filtered = len([number for number in range(0, kafka.next_offset, 10) if number != 250])
    assert (skipped, dead_lettered) == (filtered, 2 + rejected)
    assert accepted == read - filtered - 2 - rejected
    assert len(case.peer.stored()) == accepted


CLAIMS = (
    every_event_arrives_once_in_calm,
    a_kill_before_a_request_repeats_nothing,
    a_kill_in_a_request_repeats_nothing_without_effect,
    a_kill_in_a_request_repeats_only_its_rows,
    a_kill_before_a_commit_repeats_only_uncommitted_rows,
    one_rejected_row_among_a_thousand_is_the_only_dead_letter,
    a_dropped_row_is_among_the_dead_letters,
    rows_to_retry_are_sent_alone,
    each_organization_goes_by_its_own_route,
    a_peer_that_rejects_everything_costs_no_event,
    a_wrong_credential_pauses_and_its_repair_is_noticed,
    a_stop_ends_within_its_time,
    the_counters_add_up,
)
