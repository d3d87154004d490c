"""`jira-relay dead-letters redrive --producer`: its plan, its job and its refusals, on a real Kafka; no producer runs."""

from consumer.delivery.dead_letters import DeadLetterWriter
from relay.kafka.producer import RecordWriter
from relay.kafka.topics import Topics
from tests.support.messages import Message

REDRIVE = ("dead-letters", "redrive", "--producer")
READABLE = b'{"id":7,"created":"2026-11-30T07:00:00.000+0000"}'


async def write_letters(connection, *raws, organization="acme"):
    topic = Topics(connection.kafka.topic_prefix).dead_letters
    async with RecordWriter(connection) as writer:
        letters = DeadLetterWriter(writer, topic, "", fields=lambda _: {"service": "producer"})
        for raw in raws:
            await letters.put(Message(raw, organization.encode(), 1), "the record has no readable id")


async def test_the_letters_of_producers_are_planned_and_become_one_job(command_line, connection, acme):
    """The dry run says what this release reads and what stays open; the job is shown, followed and cancelled as others are."""
    await command_line.add(acme)
    await write_letters(connection, READABLE, b"{}", READABLE.replace(b"7", b"8", 1))
    await write_letters(connection, READABLE, organization="gone")
    plan = (await command_line(*REDRIVE, "--dry-run", "--json")).json
    assert (plan["readable"], plan["by_organization"]) == (2, {"acme": 2})
    assert plan["still_unreadable"] == {"the record has no readable id": 1}
    ((why, count),) = plan["left_open"].items()
    assert (why.startswith("The organization gone was deleted"), count) == (True, 1)
    text = (await command_line(*REDRIVE, "--dry-run")).out
    assert "The producers read 3 dead letters again. This release reads 2 of their records" in text

    assert "give --yes" in (await command_line(*REDRIVE, code=2)).err
    assert "every destination" in (await command_line(*REDRIVE, "--to-live", code=2)).err
    assert "every destination" in (await command_line(*REDRIVE, "--destination", "sentinel", code=2)).err
    started = (await command_line(*REDRIVE, "--yes", "--detach", "--json")).json
    replay_id = started["replay"]["id"]
    assert (
        "redrives producers' dead letters of acme already"
        in (await command_line(*REDRIVE, "--yes", code=2)).err
    )

    (listed,) = (await command_line("replay", "list", "--json")).json
    assert (listed["id"], listed["destination"], listed["state"]) == (replay_id, "producers", "waiting")
    shown = (await command_line("replay", "show", replay_id)).out
    assert "unreadable records of producers" in shown
    assert "cancelled" in (await command_line("replay", "cancel", replay_id)).out
    assert "is cancelled: 0 published" in (await command_line("replay", "follow", replay_id, code=1)).err


async def test_nothing_is_started_where_no_record_can_be_read(command_line, connection, acme):
    """The letters are named with their reasons; the exit code is 0, since nothing is left to do."""
    await command_line.add(acme)
    await write_letters(connection, b"{}", b"[")
    found = (await command_line(*REDRIVE, "--yes")).out
    assert "There is no dead letter of a producer whose record this release can read." in found
    assert "1 letter stays open: the JSON of the record is broken" in found
    assert (await command_line("replay", "list", "--json")).json == []
