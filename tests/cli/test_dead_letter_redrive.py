"""`jira-relay dead-letters redrive`: its plan, its jobs and its refusals, on a real Kafka; no consumer runs."""

import pytest

from consumer.delivery.dead_letters import DeadLetterWriter
from consumer.replay.letter_records import NO_EVENT
from relay.avro.codec import InternalCodec
from relay.dead_letters.letter import relay_headers
from relay.dead_letters.log import open_letter_log
from relay.kafka.producer import RecordWriter
from relay.kafka.topics import Topics, partition_of
from relay.replays.job import ReplaySkip
from relay.replays.store import ReplayStore
from tests.support.messages import Message, event, message
from tests.support.replay_owner import PlayedOwner, places_at_end

CODEC = InternalCodec("audit_event")
RULE = {"ENDPOINT": "https://a.westeurope-1.ingest.monitor.azure.com", "RULE_ID": "dcr-" + 32 * "0"}


async def write_letters(connection):
    """Write letters of `acme` and `umbra`: refused by live and by history, one that is no event, one of another destination."""
    topic = Topics(connection.kafka.topic_prefix).dead_letters
    async with RecordWriter(connection) as writer:

        async def put(record, reason, destination="sentinel", flow="live"):
            letters = DeadLetterWriter(writer, topic, destination, fields=lambda _: {"flow": flow})
            await letters.put(record, reason, 400)

        for number in range(6):
            organization = ("acme", "umbra")[number % 2]
            await put(
                message(event(number, organization=organization), CODEC, offset=number),
                f"column {number} is odd",
            )
        await put(
            message(event(7, organization="acme", mode="backfill"), CODEC, offset=7),
            "too large",
            flow="history",
        )
        await put(Message(b"garbage", b"acme", 1, offset=8), "no event")
        producer = DeadLetterWriter(writer, topic, "", fields=lambda _: {"service": "producer"})
        await producer.put(Message(b"{}", b"acme", 1), "no readable id")
        await put(message(event(9, organization="acme"), CODEC, offset=9), "gone", destination="former")


@pytest.fixture
async def letters(command_line, connection):
    command_line.set_environment(
        **{f"RELAY_DESTINATIONS__SENTINEL__{name}": value for name, value in RULE.items()}
    )
    await write_letters(connection)


async def jobs_on(connection):
    store = ReplayStore(connection, Topics(connection.kafka.topic_prefix).replays)
    return [each.job for each in (await store.read()).jobs.values()]


@pytest.mark.usefixtures("letters")
async def test_a_redrive_is_planned_exactly_and_started_once(command_line, connection):
    """The dry run has the letters by reason, and those that stay open with the reason; the job has the conditions and the ranges."""
    redrive = ("dead-letters", "redrive")
    named = ("--organization", "acme", "--organization", "umbra")
    plan = (await command_line(*redrive, *named, "--dry-run", "--json")).json
    (planned,) = plan["replays"]
    assert (planned["destination"], planned["letters"], planned["skipped"]) == ("sentinel", 7, {NO_EVENT: 1})
    assert planned["by_organization"] == {"acme": 4, "umbra": 3}
    assert [(each["reason"][:6], each["letters"]) for each in planned["by_reason"]] == [
        ("column", 6),
        ("no eve", 1),
        ("too la", 1),
    ]
    by_producer, former = sorted(plan["left_open"])
    assert by_producer.startswith("A producer could not read the record")
    assert "The settings have no destination former" in former
    assert await jobs_on(connection) == []

    text = (await command_line(*redrive, *named, "--dry-run")).out
    assert "sentinel gets 7 events of dead letters again. They go to its history." in text
    assert f"1 letter stays open: {NO_EVENT}" in text
    assert "No consumer of sentinel runs now" in text
    assert "give --yes" in (await command_line(*redrive, *named, code=2)).err

    started = await command_line(
        *redrive, "--reason", "COLUMN", "--organization", "acme", "--detach", "--yes"
    )
    (job,) = await jobs_on(connection)
    assert job.id in started.out
    assert (job.content, job.destination, job.reason, job.organizations) == (
        "dead-letters",
        "sentinel",
        "COLUMN",
        ("acme",),
    )
    assert sum(each.end - each.start for each in job.ranges) >= 3
    again = (await command_line(*redrive, *named, "--yes", "--detach", code=2)).err
    assert f"The replay {job.id} redrives dead letters of sentinel already" in again


@pytest.mark.usefixtures("letters")
async def test_letters_that_are_not_redriven_are_named(command_line, connection):
    """Deleted organizations, letters of history with --to-live, and unknown destinations: each has a sentence and a number."""
    redrive = ("dead-letters", "redrive")
    plan = (await command_line(*redrive, "--dry-run", "--json")).json
    assert plan["replays"] == []
    assert {why.partition(".")[0]: count for why, count in plan["left_open"].items()} == {
        "The organization acme was deleted": 5,
        "The organization umbra was deleted": 3,
        "The settings have no destination former": 1,
        "A producer could not read the record, so there is no event to deliver": 1,
    }
    plan = (await command_line(*redrive, "--to-live", "--organization", "acme", "--dry-run", "--json")).json
    (planned,) = plan["replays"]
    assert (planned["letters"], planned["to_live"]) == (3, True)
    assert any(
        why.startswith("The live flow of sentinel did not refuse the event") for why in plan["left_open"]
    )

    assert "no destination former" in (await command_line(*redrive, "--destination", "former", code=2)).err
    assert "at least 1 event" in (await command_line(*redrive, "--rate", "0", code=2)).err
    nothing = await command_line(*redrive, "--reason", "no such reason", "--yes")
    assert nothing.out == "There is no dead letter that can be redriven.\n"
    assert await jobs_on(connection) == []


@pytest.mark.usefixtures("letters")
async def test_the_command_follows_the_redrive_to_its_end(command_line, connection):
    """It prints the counts and the letters that stay open; exit code 1 says that a letter was refused again."""
    async with PlayedOwner(connection) as owner:
        command = owner.follow(
            command_line("dead-letters", "redrive", "--organization", "acme", "--yes", code=1)
        )
        job = await owner.wait_for_job()
        skips = (ReplaySkip(NO_EVENT, 1),)
        ended = {"sent": 3, "skipped": 1, "dead_lettered": 1, "skips": skips, "places": places_at_end(job)}
        await owner.report(job, "done", **ended)
        found = await command

    assert f"The replay {job.id} of sentinel is started." in found.out
    assert "3 sent, 1 skipped, 1 dead letter" in found.out
    assert found.out.endswith(f"1 letter stays open: {NO_EVENT}\n")


async def test_letters_without_an_organization_open_no_way_to_deleted_ones(command_line, connection):
    """They hold no event, so no job is planned whose ranges hold the letters of a deleted organization between them."""
    command_line.set_environment(
        **{f"RELAY_DESTINATIONS__SENTINEL__{name}": value for name, value in RULE.items()}
    )
    async with open_letter_log(connection) as log:
        partition = partition_of("acme", len(log.bounds))
    async with RecordWriter(connection) as writer:
        for key, value in (
            (None, b"x"),
            (b"acme", CODEC.encode(event(1, organization="acme"))),
            (None, b"x"),
        ):
            headers = relay_headers({"reason": "odd", "destination": "sentinel"})
            await writer.send(log.topic, key, value, partition=partition, headers=headers)

    plan = (await command_line("dead-letters", "redrive", "--dry-run", "--json")).json
    assert plan["replays"] == []
    assert {why.partition(".")[0]: count for why, count in plan["left_open"].items()} == {
        "The bytes are no event of the relay": 2,
        "The organization acme was deleted": 1,
    }
