"""Faults of a cluster, against a simulated broker: records that are confirmed late or never, producers, files, topics."""

import asyncio
import time
from contextlib import asynccontextmanager

import pytest

from consumer.destinations.kafka import KAFKA
from consumer.destinations.kafka.client import WRITE_SHARE
from consumer.destinations.kafka.config import TopicConfig
from consumer.destinations.kafka.rows import decode_records
from consumer.destinations.outcome import Partial, Paused, Retry, Sent
from relay.kafka.external_topics import BatchLimits
from relay.timestamps import now_ms
from simulators.kafka.broker import SimulatedKafka
from tests.contracts.destination_case import NEVER_LATE_SECONDS, body_of, encoded, uids
from tests.contracts.kafka_peer import PASSWORD, kafka_peer
from tests.support.messages import event
from tests.support.sending import sent_at_last
from tests.support.waiting import wait_until


@asynccontextmanager
async def world(partitions=1, seconds=KAFKA.request_timeout_seconds, **settings):
    """A broker without logins, and the live flow of a destination."""
    async with SimulatedKafka() as broker:
        broker.add_topic("jira", partitions)
        config = TopicConfig(
            **{"kind": "kafka", "topic": "jira", "bootstrap_servers": broker.bootstrap, "compression": "none"}
            | settings
        )
        async with KAFKA.open("soc", config, seconds) as flows:
            yield broker, flows["live"]


async def sent(live, numbers):
    """Send until the events are accepted: on a busy machine a short time passes before a producer has started."""
    return await sent_at_last(lambda: live.send(body_of(live, events(*numbers))))


def events(*numbers, **fields):
    return [event(number, **fields) for number in numbers]


async def test_a_lost_answer_within_a_call_repeats_nothing():
    """The batch is sent again under its sequence number, and the broker knows it."""
    async with world() as (broker, live):
        answer = broker.lose_answers()
        sending = asyncio.create_task(live.send(body_of(live, events(1, 2))))
        await wait_until(lambda: broker.stored("jira"))
        answer()
        broker.close_connections()
        assert await sending == Sent()
        assert broker.produced == 2
        assert broker.stored_uids("jira") == uids([1, 2])


async def test_a_broker_that_comes_back_within_a_call_repeats_nothing():
    """Records wait for the broker, in their order."""
    async with world() as (broker, live):
        assert await live.send(body_of(live, events(0))) == Sent()
        await broker.__aexit__()
        sending = asyncio.create_task(live.send(body_of(live, events(1, 2))))
        await asyncio.sleep(0.3)
        assert not sending.done()
        await broker.__aenter__()
        assert await sending == Sent()
        assert broker.stored_uids("jira") == uids([0, 1, 2])


async def test_records_that_nobody_confirmed_are_sent_again_and_the_others_are_not():
    """A partition that answers counts, and one that does not is a Partial: only its rows are repeated."""
    async with world(partitions=8) as (broker, live):
        assert await live.send(body_of(live, events(0))) == Sent()
        many = [event(number, organization=f"org{number % 40}.atlassian.net") for number in range(80)]
        broker.topics["jira"].poisons.add("org3.atlassian.net/3")
        outcome = await live.send(body_of(live, many))
        assert isinstance(outcome, Partial)
        assert list(outcome.rejected) == [3]
        stored = broker.stored_uids("jira")[1:]
        assert len(stored) == 80 - 1 - len(outcome.retry)
        rest = [many[row] for row in sorted(outcome.retry)]
        assert await live.send(body_of(live, rest)) == Sent()
        found = broker.stored_uids("jira")[1:]
        assert sorted(found) == sorted(
            f"{each['organization']}/{each['id']}" for each in many if each["id"] != 3
        )
        for number in range(40):
            of_one = [uid for uid in found if uid.startswith(f"org{number}.")]
            assert of_one == sorted(of_one, key=lambda uid: int(uid.rpartition("/")[2]))


async def test_nothing_is_written_after_a_call_that_ended_without_an_answer():
    """The producer of an unanswered call is discarded: a repeat of its records later would break the order."""
    async with world(seconds=0.5) as (broker, live):
        release = broker.hold()
        assert isinstance(await live.send(body_of(live, events(1))), Retry)
        release()
        await asyncio.sleep(0.5)
        assert broker.stored("jira") == []
        attempts = await sent(live, [1])
        found = broker.stored_uids("jira")
        assert set(found) == set(uids([1]))
        assert len(found) <= attempts  # an attempt that ran out of time may have had its effect


async def test_nothing_is_written_after_a_cancelled_call():
    """A stop gives up the call, and the next owner sends its records."""
    async with world() as (broker, live):
        assert await live.send(body_of(live, events(0))) == Sent()
        release = broker.hold()
        sending = asyncio.create_task(live.send(body_of(live, events(1))))
        await wait_until(lambda: broker.produced == 2)
        sending.cancel()
        await asyncio.wait({sending})
        release()
        broker.close_connections()
        await asyncio.sleep(0.5)
        assert broker.stored_uids("jira") == uids([0])
        assert await live.send(body_of(live, events(1))) == Sent()


async def test_a_password_that_became_wrong_pauses_long_before_the_time_is_over(tmp_path):
    """A connection that ends is not made again: the cause is looked for while the records wait."""
    async with kafka_peer(None, tmp_path) as peer, KAFKA.open("soc", peer.config, 40.0) as flows:
        live = flows["live"]
        assert await live.send(body_of(live, events(1))) == Sent()
        repair = peer.break_credential()
        async with asyncio.timeout(25):
            outcome = await live.send(body_of(live, events(2)))
        assert isinstance(outcome, Paused)
        assert "destinations.soc.sasl_password" in outcome.reason
        assert PASSWORD not in outcome.reason
        repair()
        assert await live.send(body_of(live, events(2))) == Sent()


async def test_a_new_password_in_the_file_needs_no_restart(tmp_path):
    """The file is read again for each new connection; a file that is away names itself."""
    async with kafka_peer(None, tmp_path) as peer, KAFKA.open("soc", peer.config, 40.0) as flows:
        live, file = flows["live"], peer.config.sasl_password_file
        assert await live.send(body_of(live, events(1))) == Sent()
        peer.break_credential()
        file.unlink()
        assert isinstance(await live.send(body_of(live, events(2))), Paused)
        outcome = await live.send(body_of(live, events(2)))
        assert isinstance(outcome, Paused)
        assert "destinations.soc.sasl_password_file cannot be read" in outcome.reason
        file.write_text("another-password\n")
        assert await live.probe() == Sent()
        assert await live.send(body_of(live, events(2))) == Sent()
        assert peer.stored() == uids([1, 2])


@pytest.mark.parametrize("step", ["send", "probe"])
async def test_a_topic_that_is_absent_or_read_only_pauses_and_is_created_nowhere(step):
    """Topic and right are looked up before the first record."""
    async with world() as (broker, live):
        topic = broker.topics.pop("jira")

        async def outcome():
            return await (live.probe() if step == "probe" else live.send(body_of(live, events(1))))

        assert "Create the topic" in (await outcome()).reason
        broker.topics["jira"] = topic
        topic.writable = False
        assert "Grant the relay's user Write" in (await outcome()).reason
        topic.writable = True
        assert await outcome() == Sent()


@pytest.mark.parametrize("policy", ["compact", "compact,delete"])
async def test_a_probe_names_a_compacted_topic(policy):
    """It keeps one event of each organization. A user without DescribeConfigs cannot see it."""
    async with world() as (broker, live):
        broker.shows_settings = True
        assert "compacted" not in (await live.probe()).note
        broker.topics["jira"].policy = policy
        outcome = await live.probe()
        assert outcome == Sent()
        assert "set its cleanup.policy to delete" in outcome.note
        broker.shows_settings = False
        assert "compacted" not in (await live.probe()).note


async def test_a_topic_that_is_deleted_while_the_relay_runs_pauses_at_the_next_call():
    """The first call waits for the topic, as for a leader that moves; the next one finds it absent."""
    async with world(seconds=1.0) as (broker, live):
        await sent(live, [1])
        del broker.topics["jira"]
        assert isinstance(await live.send(body_of(live, events(2))), Retry)
        async with asyncio.timeout(120):
            while not isinstance(outcome := await live.send(body_of(live, events(2))), Paused):
                assert isinstance(outcome, Retry)


async def test_a_probe_names_the_cluster():
    async with world() as (broker, live):
        assert broker.cluster_id in (await live.probe()).note


async def test_a_codec_that_the_cluster_lacks_pauses():
    """The reason names the setting."""
    async with world(compression="zstd") as (_, live):
        outcome = await live.send(body_of(live, events(1)))
        assert isinstance(outcome, Paused)
        assert "destinations.soc.compression" in outcome.reason


async def test_flows_fail_apart():
    """The live flow goes on while the topic of history is away."""
    async with world(history_topic="absent") as (broker, live):
        config = TopicConfig(
            kind="kafka", topic="jira", history_topic="absent", bootstrap_servers=broker.bootstrap
        )
        async with KAFKA.open("soc", config, 40.0) as flows:
            history = flows["history"]
            assert isinstance(await history.send(body_of(history, events(1))), Paused)
        assert await live.send(body_of(live, events(1))) == Sent()


async def test_confirmed_records_of_a_call_that_runs_out_of_time_are_not_sent_again():
    """The wait for confirmations ends before the call does, so the answer names the rows that are left."""
    async with world(seconds=4.0) as (broker, live):
        await sent(live, [0])
        before = len(broker.stored("jira"))
        live._client._shared._limits["jira"] = BatchLimits(900_000, 2)
        broker.answers_left = 1
        outcome = await live.send(body_of(live, events(1, 2, 3, 4, 5, 6)))
        assert isinstance(outcome, Partial)
        assert outcome.retry == {2, 3, 4, 5}
        assert broker.stored_uids("jira")[before:] == uids(range(1, 5))


async def test_a_call_that_waited_for_others_keeps_its_confirmed_records():
    """It has little time left, and the search for the cause takes no more of it: else confirmed records are sent again."""
    async with world(seconds=30.0) as (broker, live):
        assert await live.send(body_of(live, events(0))) == Sent()
        client = live._client._shared
        client._limits["jira"] = BatchLimits(900_000, 2)
        broker.answers_left, broker.greets = 1, False
        records = decode_records(body_of(live, events(1, 2, 3, 4)).content, now_ms())
        until = time.monotonic() + 3.0
        outcome = await client._send(client._place("jira"), records, until)
        assert isinstance(outcome, Partial)
        assert outcome.retry == {2, 3}
        assert time.monotonic() - until < 30.0 * (1 - WRITE_SHARE)


async def test_calls_at_a_time_wait_for_one_another():
    """A call that found no time to send says so; its records were not sent."""
    async with world(seconds=1.0) as (broker, live):
        await sent(live, [0])
        before = broker.stored_uids("jira")
        release = broker.hold()
        outcomes = await asyncio.gather(*(live.send(body_of(live, events(n))) for n in (1, 2, 3)))
        assert all(isinstance(each, Retry) for each in outcomes)
        release()
        assert broker.stored_uids("jira") == before


async def test_no_request_is_above_the_limit_of_event_hubs():
    """It has no compression, and ends the connection of a larger request; a full body of CloudEvents is 1.3 MB of records."""
    async with world(partitions=8, seconds=NEVER_LATE_SECONDS, profile="event-hubs", cloudevents=True) as (
        broker,
        live,
    ):
        broker.max_request_bytes = 1_046_528
        many = [event(number, organization=f"org{number % 40}.atlassian.net") for number in range(3_500)]
        full = encoded(live, many).count_within(live.limits.format.max_bytes)
        assert full < len(many)
        async with asyncio.timeout(120):
            assert await live.send(body_of(live, many[:full])) == Sent()
        assert len(broker.stored("jira")) == full
