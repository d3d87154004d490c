"""What an operator reads while Kafka does not let a process join its group."""

import asyncio
from dataclasses import replace

from aiokafka.errors import GroupAuthorizationFailedError

from relay.config.kafka import KafkaConfig
from relay.errors import describe
from relay.kafka.connection import Connection
from relay.kafka.consumer_group import DEFAULT_TIMING, Member
from relay.kafka.join_trouble import JoinTrouble
from tests.support.group_member import RecordingHandler
from tests.support.waiting import wait_until

NOON_MS = 1_795_435_200_000


def trouble_at(now):
    return JoinTrouble("p.soc", "k:9092", lambda: now[0])


def test_an_ordinary_start_is_no_trouble():
    """Neither the first seconds of an attempt, nor an attempt that fails once, nor a rebalance is reported."""
    now = [NOON_MS]
    trouble = trouble_at(now)
    assert trouble.text is None
    trouble.began()
    trouble.failed("no broker")
    now[0] += 4_000
    assert trouble.text is None
    trouble.confirmed()
    now[0] += 14_000
    assert trouble.text is None


def test_a_failed_attempt_names_kafka_the_cause_and_its_begin():
    """Further attempts keep the time of the first one; a confirmed membership ends it."""
    now = [NOON_MS]
    trouble = trouble_at(now)
    trouble.began()
    now[0] += 60_000
    trouble.failed("Unable to bootstrap\nfrom k:9092.")
    trouble.began()
    assert trouble.text == (
        "Kafka at k:9092 has not let this process join the group p.soc since 2026-11-23T12:00:00Z: Unable to bootstrap from"
        " k:9092. Check that Kafka runs and is reachable; the process joins by itself"
    )
    trouble.confirmed()
    assert trouble.text is None


def test_a_missing_right_is_not_called_a_kafka_that_is_away():
    """A broker that refuses the group answers, so the remedy is the right."""
    now = [NOON_MS]
    trouble = trouble_at(now)
    trouble.began()
    now[0] += 60_000
    trouble.failed(describe(GroupAuthorizationFailedError("p.soc")))
    assert trouble.text is not None
    assert "lacks Read on the group; `jira-relay check` names the command" in trouble.text
    assert "reachable" not in trouble.text


def test_a_membership_that_ended_counts_from_its_last_confirmation():
    """So the time is that at which Kafka went away, and not that of the attempt after it."""
    now = [NOON_MS]
    trouble = trouble_at(now)
    trouble.began()
    trouble.confirmed()
    now[0] += 40_000
    trouble.failed("the consumer ended silently")
    trouble.began()
    assert "since 2026-11-23T12:00:00Z: the consumer ended silently" in trouble.text


def test_a_kafka_that_does_not_answer_is_named_without_an_error():
    """aiokafka looks for the coordinator without end, and raises nothing."""
    now = [NOON_MS]
    trouble = trouble_at(now)
    trouble.began()
    now[0] += 15_000
    assert trouble.text.startswith(
        "Kafka at k:9092 has not confirmed the membership in the group p.soc since 2026-11-23T12"
    )


async def test_a_member_of_a_kafka_that_is_away_names_it():
    """It goes on trying, and says so meanwhile."""
    connection = Connection(KafkaConfig(bootstrap="127.0.0.1:1", topic_prefix="p"))
    timing = replace(DEFAULT_TIMING, error_seconds=0.0)
    member = Member(connection, "p.soc", "p.events", RecordingHandler(), timing=timing)
    task = asyncio.create_task(member.run())
    try:
        await wait_until(lambda: member.trouble is not None)
        assert member.trouble.startswith(
            "Kafka at 127.0.0.1:1 has not let this process join the group p.soc since 20"
        )
        assert "Check that Kafka runs and is reachable" in member.trouble
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
