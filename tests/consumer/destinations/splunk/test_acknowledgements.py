"""Bodies that wait for the indexers: when they are confirmed, sent again, or refused."""

import asyncio
import json

import pytest
from prometheus_client import CollectorRegistry

from consumer.destinations.outcome import Paused, Retry, Sent, Unconfirmed
from consumer.timing import BackoffCurve
from simulators import faults
from simulators.splunk.collector import HecCollector, Token
from tests.support.hec import TOKEN, hec_flow
from tests.support.http_receiver import body_of
from tests.support.in_memory_group import FakeGroup, assign, count, handler, kill
from tests.support.messages import event
from tests.support.waiting import wait_until

ACK, EVENT = "collector/ack", "collector/event"


@pytest.fixture
async def collector():
    async with HecCollector({TOKEN: Token(acknowledges=True)}) as one:
        yield one


def polls(collector):
    """Return the channel and the ids of each poll, without those of a request that asks whether the token acknowledges."""
    calls = [each for each in collector.calls if each.path.endswith(ACK)]
    return [(each.headers["X-Splunk-Request-Channel"], json.loads(each.body)["acks"]) for each in calls][1:]


async def test_a_body_is_confirmed_when_the_indexers_have_it(collector):
    """One poll asks for all bodies that wait, under the channel of their requests."""
    collector.channels.delay_seconds = None
    async with hec_flow(collector, acknowledge=True) as live:
        taken = [await live.send(body_of(live, event(number))) for number in range(3)]
        assert all(isinstance(each, Unconfirmed) for each in taken)
        confirmations = [asyncio.create_task(each.confirm()) for each in taken]
        await wait_until(lambda: [0, 1, 2] in [asked for _, asked in polls(collector)])
        assert not any(each.done() for each in confirmations)
        collector.index_everything()
        assert await asyncio.gather(*confirmations) == [Sent()] * 3
    assert len({channel for channel, _ in polls(collector)}) == 1


async def test_a_body_that_is_never_acknowledged_is_sent_again_in_another_channel(collector):
    collector.channels.delay_seconds = None
    async with hec_flow(collector, acknowledge=True, acknowledge_timeout_seconds=2) as live:
        late = await (await live.send(body_of(live))).confirm()
        assert isinstance(late, Retry)
        assert "did not acknowledge them within 2 s" in late.reason
        collector.channels.delay_seconds = 0.0
        assert await (await live.send(body_of(live))).confirm() == Sent()
    assert len({channel for channel, _ in polls(collector)}) == 2
    assert collector.stored_ids("main") == ["acme.atlassian.net/1"] * 2


async def test_a_restart_that_forgets_the_channel_ends_the_wait(collector):
    """The node does not know the channel any more: nobody waits for the time to pass."""
    collector.channels.delay_seconds = None
    async with hec_flow(collector, acknowledge=True) as live:
        taken = await live.send(body_of(live))
        collector.restart()
        outcome = await asyncio.wait_for(taken.confirm(), 120)
        assert isinstance(outcome, Retry)
        assert "forgotten" in outcome.reason


async def test_an_acknowledgement_of_a_new_request_is_not_taken_for_an_old_one(collector):
    """After a restart the channel counts from 0 again. What was not indexed is lost, and its id comes back at once."""
    collector.channels.delay_seconds = None
    async with hec_flow(collector, acknowledge=True) as live:
        collector.fault(faults.respond_with(503), rate=1, path=ACK, skip=1)  # polls come to nothing meanwhile
        old = await live.send(body_of(live, event(1)))
        collector.restart(lose="main")
        collector.channels.delay_seconds = 0.0
        new = await live.send(body_of(live, event(2)))
        collector.clear_faults()
        assert isinstance(await asyncio.wait_for(old.confirm(), 30), Retry)
        assert isinstance(await asyncio.wait_for(new.confirm(), 30), Retry)
        for number in (1, 2):
            assert await (await live.send(body_of(live, event(number)))).confirm() == Sent()
    assert set(collector.stored_ids("main")) == {"acme.atlassian.net/1", "acme.atlassian.net/2"}


async def test_the_acknowledgement_of_a_refused_request_is_not_taken_for_an_old_one(collector):
    """splunkd stores the events before a bad one. If it gives them an id, that may be the id of a body that a restart lost."""
    collector.channels.delay_seconds = None
    async with hec_flow(collector, acknowledge=True) as live:
        old = await live.send(body_of(live, event(1)))
        answer = '{"text":"Invalid data format","code":6,"invalid-event-number":1,"ackId":0}'
        collector.fault(faults.respond_with(400, answer), path=EVENT)
        await live.send(body_of(live, event(2), event(3)))
        collector.index_everything()
        assert isinstance(await asyncio.wait_for(old.confirm(), 30), Retry)


async def test_polls_that_fail_are_repeated(collector):
    """A poll without a readable answer says nothing about a body; one that Splunk answered and nobody received is lost."""
    collector.channels.delay_seconds = None
    async with hec_flow(collector, acknowledge=True) as live:
        taken = await live.send(body_of(live))
        for fault in (
            faults.respond_with(503),
            faults.reset(),
            faults.respond_with(200, "<html>"),
            faults.cut_body(),
        ):
            collector.fault(fault, path=ACK)
        collector.fault(faults.respond_with(200, '{"acks":{"0":"true","1":true}}'), path=ACK)
        await wait_until(lambda: len(polls(collector)) > 6)
        collector.index_everything()
        assert await asyncio.wait_for(taken.confirm(), 120) == Sent()


async def test_a_token_without_acknowledgement_takes_no_event(collector):
    """Splunk would take events and acknowledge none: each try would store them once more."""
    collector.tokens[TOKEN].acknowledges = False
    async with hec_flow(collector, acknowledge=True) as live:
        for _ in range(3):
            outcome = await live.send(body_of(live))
            assert isinstance(outcome, Paused)
            assert "destinations.soc.acknowledge" in outcome.reason
        assert collector.stored("main") == []
        collector.tokens[TOKEN].acknowledges = True
        assert await (await live.send(body_of(live))).confirm() == Sent()


async def test_a_token_that_stops_to_acknowledge_repeats_one_body_once(collector):
    async with hec_flow(collector, acknowledge=True) as live:
        assert await (await live.send(body_of(live))).confirm() == Sent()
        collector.tokens[TOKEN].acknowledges = False
        for _ in range(3):
            assert isinstance(await live.send(body_of(live)), Paused)
        assert len(collector.stored("main")) == 2


async def test_cookies_keep_the_node_of_a_session(collector):
    """A load balancer finds the node that knows the acknowledgements by its cookie."""
    async with hec_flow(collector, acknowledge=True) as live:
        collector.fault(faults.altered_head(headers={"Set-Cookie": "node=7"}), path=EVENT)
        assert await (await live.send(body_of(live))).confirm() == Sent()
        assert collector.calls[-1].headers["Cookie"] == "node=7"


async def test_a_restart_that_loses_events_loses_none_of_them(collector):
    """The history: bodies are taken, the indexer dies before it has them, and comes back empty. All of them arrive again."""
    collector.channels.delay_seconds = None
    kafka = FakeGroup(60)
    async with hec_flow(collector, acknowledge=True) as live:
        registry = CollectorRegistry()
        one = handler(kafka, live, registry=registry, sender={"confirmation": BackoffCurve(0.05, 0.05)})
        await assign(one, kafka)
        for stored in (20, 40):
            await one.records(kafka.poll(20))
            await wait_until(lambda stored=stored: len(collector.stored("main")) == stored)
        assert kafka.committed_offset == 0
        collector.restart(lose="main")
        collector.channels.delay_seconds = 0.0
        await one.records(kafka.poll(20))
        await wait_until(lambda: kafka.committed_offset == 60)
        await one.closed()
        assert count(registry, "events_unconfirmed") >= 40
        assert count(registry, "events_accepted") == 60
    assert set(collector.stored_ids("main")) == {f"acme.atlassian.net/{number}" for number in range(60)}


async def test_a_kill_while_bodies_wait_sends_them_again_and_no_others(collector):
    """What the indexers had acknowledged before is not repeated."""
    kafka = FakeGroup(30)
    async with hec_flow(collector, acknowledge=True) as live:
        one = handler(kafka, live)
        await assign(one, kafka)
        await one.records(kafka.poll(10))
        await wait_until(lambda: kafka.committed_offset == 10)
        collector.channels.delay_seconds = None
        await one.records(kafka.poll(20))
        await wait_until(lambda: len(collector.stored("main")) == 30)
        await kill(one, kafka)
    collector.channels.delay_seconds = 0.0
    async with hec_flow(collector, acknowledge=True) as live:
        another = handler(kafka, live)
        await assign(another, kafka)
        await another.records(kafka.poll(30))
        await wait_until(lambda: kafka.committed_offset == 30)
        await another.closed()
    stored = collector.stored_ids("main")
    repeated = {uid for uid in stored if stored.count(uid) > 1}
    assert repeated == {f"acme.atlassian.net/{number}" for number in range(10, 30)}


async def test_many_bodies_wait_within_their_bound(collector):
    """Without acknowledgements the relay stops to read at the bytes in flight, and goes on when they come."""
    collector.channels.delay_seconds = None
    kafka = FakeGroup(400)
    async with hec_flow(collector, acknowledge=True, max_body_bytes=10_000) as live:
        object.__setattr__(live.limits, "in_flight_bytes", 100_000)
        one = handler(kafka, live)
        await assign(one, kafka)
        feeding = asyncio.create_task(one.records(kafka.poll(400)))
        await wait_until(lambda: one._assignment._sender.bytes >= 100_000)
        await asyncio.sleep(0.3)
        assert one._assignment._sender.bytes < 130_000
        assert len(collector.stored("main")) < 200
        collector.channels.delay_seconds = 0.0
        collector.index_everything()
        await wait_until(lambda: kafka.committed_offset == 400)
        await feeding
        await one.closed()
    assert sorted(set(collector.stored_ids("main"))) == sorted(collector.stored_ids("main"))
