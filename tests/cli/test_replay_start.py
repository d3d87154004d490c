"""`jira-relay replay start`: what it checks, plans and counts, on a real Kafka; the owner is played by the test."""

import json

import pytest
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete

from consumer.targets.store import ClaimStore
from consumer.targets.target import Pause
from relay.avro.codec import InternalCodec
from relay.kafka import TopicPartition
from relay.kafka.topics import Topics
from relay.kafka.transactions import TransactionalProducer
from relay.timestamps import DAY_MS, day_of, now_ms, to_iso
from tests.support.messages import event
from tests.support.pipeline_world import to_record
from tests.support.replay_owner import PlayedOwner, places_at_end
from tests.support.topic_reader import read_topic

RULE = {"ENDPOINT": "https://a.westeurope-1.ingest.monitor.azure.com", "RULE_ID": "dcr-" + 32 * "0"}
SHARDS = 2
BEGAN = now_ms() - 10 * DAY_MS
"""When the first event was collected; each of the following ones a minute later."""
MINUTE = 60_000

pytestmark = pytest.mark.usefixtures("published")


@pytest.fixture
async def owner(connection):
    async with PlayedOwner(connection) as found:
        yield found


def at(number):
    return to_iso(BEGAN + number * MINUTE)


def some_events(count, **fields):
    """Return events of `acme` and `umbra` in turn, created an hour before they were collected."""
    return [
        event(
            number,
            organization=("acme", "umbra")[number % 2],
            created=BEGAN + number * MINUTE - 3_600_000,
            collected=BEGAN + number * MINUTE,
            **fields,
        )
        for number in range(count)
    ]


@pytest.fixture
async def published(command_line, connection, prefix):
    """60 events of the live topic, and 10 of backfill."""
    command_line.set_environment(
        **{f"RELAY_DESTINATIONS__SENTINEL__{name}": value for name, value in RULE.items()}
    )
    topics = Topics(prefix)
    publisher = await TransactionalProducer.open(connection, f"{prefix}.test")
    events = some_events(60)
    for part in (events[:25], events[25:]):
        await publisher.publish([to_record(each, topics.events, SHARDS) for each in part])
    await publisher.publish(
        [to_record(each, topics.backfill, SHARDS) for each in some_events(10, mode="backfill")]
    )
    await publisher.discard()
    return events


def start(*arguments):
    return ("replay", "start", "--destination", "sentinel", *arguments)


async def test_a_replay_is_started_followed_and_recorded(command_line, owner, kafka, prefix):
    """The ranges are those of the window, fixed at the start; the command ends with the job."""
    following = owner.follow(command_line(*start("--from", at(10), "--to", at(20), "--yes")))
    job = await owner.wait_for_job()
    await owner.report(job, "done", read=10, sent=10, places=places_at_end(job))
    shown = (await following).out
    assert "At most" in shown
    assert "No consumer of sentinel runs now" in shown
    assert f"The replay {job.id} is done: 10 sent" in shown

    assert (job.from_ms, job.to_ms, job.by) == (BEGAN + 10 * MINUTE, BEGAN + 20 * MINUTE, "collected")
    assert {each.topic for each in job.ranges} == {f"{prefix}.events"}
    (change,) = [
        InternalCodec("change").decode(each.value)
        for each in read_topic(kafka.bootstrap, Topics(prefix).changes)
    ]
    assert (change["what"], change["organization"]) == ("replay started", "destination/sentinel")
    assert json.loads(change["after"])["id"] == job.id


async def test_without_a_terminal_yes_is_needed_and_nothing_is_written(command_line, owner):
    for more in ((), ("--json",), ("--to-live",)):
        assert "--yes" in (await command_line(*start("--from", at(0), *more), code=2)).err
    assert await owner.jobs() == []


async def test_a_detached_start_returns_at_once(command_line, owner):
    document = (await command_line(*start("--from", at(0), "--yes", "--detach", "--json"))).json
    (found,) = await owner.jobs()
    assert (document["id"], document["state"]) == (found.job.id, "waiting")
    assert {each.topic.rpartition(".")[2] for each in found.job.ranges} == {"events", "backfill"}
    again = (await command_line(*start("--from", at(0), "--yes", "--detach"))).out
    assert f"1 other replay that did not end: {found.job.id}" in again
    assert "replay follow" in again


async def test_a_start_that_cannot_work_is_refused_with_the_cause(command_line, owner):
    """Deleted organizations are replayed while Kafka has their events; only a name without events is mistyped."""
    for arguments, words in (
        (("--from", at(0), "--organization", "acm"), "There is no organization acm"),
        (("--event", "ghost/1"), "There is no organization ghost"),
        (("--from", at(100)), "Kafka has no event of this window"),
        (("--from", at(-9), "--to", at(-5)), "Kafka has no event of this window"),
        (("--from", at(0), "--where", "categry = 'x'"), "did you mean category?"),
        (("--from", "yesterday"), "2026-11-25T08:00Z"),
    ):
        assert words in (await command_line(*start(*arguments, "--yes"), code=2)).err
    assert await owner.jobs() == []
    for more in (("--organization", "acme", "--from", at(0)), ("--event", "umbra/1")):
        await command_line(*start(*more, "--yes", "--detach"))
        newest = (await owner.jobs())[0].job
        assert len({each.partition for each in newest.ranges}) == 1, more


async def test_a_window_of_created_reads_to_the_end_of_the_log(command_line, owner):
    """An event may be collected long after it was created."""
    await command_line(*start("--by", "created", "--from", at(-30), "--to", at(-20), "--yes", "--detach"))
    (found,) = await owner.jobs()
    await command_line(*start("--from", at(0), "--yes", "--detach"))
    (everything,) = [each.job for each in await owner.jobs() if each.job.id != found.job.id]
    assert {(each.topic, each.partition, each.end) for each in found.job.ranges} == {
        (each.topic, each.partition, each.end) for each in everything.ranges
    }


async def test_what_kafka_has_deleted_is_said_with_its_dates(command_line, connection, prefix):
    """The rest of the window is replayed; a window that is deleted as a whole is refused."""
    topic, admin = Topics(prefix).events, AIOKafkaAdminClient(bootstrap_servers=connection.bootstrap)
    await admin.start()
    for partition in range(SHARDS):
        await admin.delete_records({TopicPartition(topic, partition): RecordsToDelete(before_offset=20)})
    await admin.close()
    command_line.set_environment(
        RELAY_DESTINATIONS__LAKE__KIND="object-store", RELAY_DESTINATIONS__LAKE__LOCATION="file:///tmp/x"
    )
    shown = (await command_line(*start("--from", at(0), "--to", at(50), "--yes", "--detach"))).out
    assert "Kafka has deleted older events" in shown
    assert f"{topic}/0 begins at" in shown
    assert "--archive lake" in shown
    refused = await command_line(
        *start("--from", at(12), "--to", at(14), "--organization", "acme", "--yes"), code=2
    )
    assert "Kafka has no event of one with this name in the window" in refused.err
    assert "Kafka has deleted older events" in refused.err


async def test_a_paused_destination_is_said(command_line, connection, prefix):
    await ClaimStore(connection, Topics(prefix).destinations).write_state(
        "sentinel", "paused", Pause(1, "ann@host")
    )
    shown = (await command_line(*start("--from", at(0), "--yes", "--detach"))).out
    assert "sentinel is paused by ann@host" in shown
    assert "destinations resume sentinel" in shown


async def test_a_dry_run_counts_by_organization_and_day_and_shows_rows(command_line, published, owner):
    """Its total is that of the window; hidden values are in no row."""
    command_line.set_environment(RELAY_DESTINATIONS__SENTINEL__HIDE='{"summary": "drop"}')
    window = ("--from", at(10), "--to", at(41), "--where", "id % 3 = 0")
    counted = (await command_line(*start(*window, "--dry-run", "--json"))).json
    expected = [each for each in published if 10 <= each["id"] < 41 and each["id"] % 3 == 0]
    assert counted["events"] == len(expected) == 10
    assert counted["by_organization"] == {"acme": 5, "umbra": 5}
    assert sum(counted["by_day"].values()) == 10
    assert set(counted["by_day"]) == {day_of(each["collected"]) for each in expected}
    assert len(counted["rows"]) == 3
    for row in map(json.loads, counted["rows"]):
        assert row["EventMode"] == "replay"
        assert (
            row["EventDescription" if "EventDescription" in row else "Summary"] is None
            if "Summary" in row
            else True
        )
    assert "User created" not in json.dumps(counted["rows"])
    shown = (await command_line(*start(*window, "--dry-run"))).out
    assert "10 events would be sent to sentinel. Nothing was sent." in shown
    assert await owner.jobs() == []


async def test_a_dry_run_for_the_live_target_keeps_the_mode(command_line):
    counted = (await command_line(*start("--event", "acme/2", "--to-live", "--dry-run", "--json"))).json
    assert counted["events"] == 2
    assert sorted(json.loads(row)["EventMode"] for row in counted["rows"]) == ["backfill", "live"]
