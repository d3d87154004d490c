"""Events as the command line shows them: one with its delivery, new ones as they come, and the history of organizations."""

import json

import pytest

from management.events.condition import compile_condition
from management.events.feed import EventFeed
from management.organizations.validation import InputError
from relay.change_log import write_change
from relay.config.schema_registry import SchemaRegistryConfig
from relay.kafka.producer import RecordWriter
from relay.kafka.topics import Topics
from relay.timestamps import now_ms
from tests.support.pipeline_world import some_events, to_record

ADDRESS = "192.0.2.7"


async def publish(connection, count, first=0, **fields):
    """Write events with ids from `first` to the live topic; the organization of an id is org(id mod 5)."""
    topic = Topics(connection.kafka.topic_prefix).events
    async with RecordWriter(connection) as writer:
        for each in some_events(count, first=first, remoteAddress=ADDRESS, **fields):
            record = to_record(each, topic, 2)
            await writer.send(
                topic, record.key, record.value, partition=record.partition, timestamp_ms=record.timestamp
            )


async def test_an_event_is_shown_by_its_uid_and_by_its_place(command_line, connection):
    """Personal data is hidden until it is asked for, and then the history of the organization names who saw it."""
    await publish(connection, 8)
    document = (await command_line("events", "show", "org2.atlassian.net/7", "--json")).json
    assert (document["uid"], document["destinations"]) == ("org2.atlassian.net/7", [])
    assert document["event"]["remoteAddress"] == "•••"

    place = await command_line("events", "show", "--at", document["address"])
    assert "org2.atlassian.net/7" in place.out.splitlines()[0]
    assert "•••" in place.out
    assert ADDRESS not in place.out
    assert ADDRESS in (await command_line("events", "show", "org2.atlassian.net/7", "--personal")).out

    await write_change(
        connection, "acme", "anna", 1, "modified", {"interval_seconds": 60}, {"interval_seconds": 30}
    )
    lines = (await command_line("organizations", "history")).out.splitlines()
    assert lines[:2] == ["1970-01-01T00:00:00Z  acme: modified by anna", "  interval_seconds: 60 -> 30"]
    assert "org2.atlassian.net: viewed personal data of org2.atlassian.net/7 by " in lines[2]
    (only,) = (await command_line("organizations", "history", "acme", "--json")).json
    assert (only["who"], only["after"]) == ("anna", {"interval_seconds": 30})
    assert "1 older change" in (await command_line("organizations", "history", "--limit", "1")).out
    missing = await command_line("events", "show", "org2.atlassian.net/8", code=1)
    assert "Kafka has no event org2.atlassian.net/8" in missing.err


async def test_new_events_are_shown_as_they_come(command_line, connection):
    """The last events come first; then each new one once, of one organization or by a condition."""
    await publish(connection, 30)
    shown = (await command_line("tail", "--no-follow", "-n", "3", "--json")).out.splitlines()
    assert [json.loads(line)["event"]["id"] for line in shown] == [27, 28, 29]
    where = ("--where", "id < 10", "org1.atlassian.net")
    lines = (await command_line("tail", "--no-follow", *where)).out.splitlines()
    assert [line.split()[1] for line in lines] == ["org1.atlassian.net/1", "org1.atlassian.net/6"]
    assert ADDRESS not in "".join(lines)

    feed = EventFeed(connection, SchemaRegistryConfig(), "org1.atlassian.net", None, now_ms)
    assert [each.event["id"] for each in await feed.read()] == [1, 6, 11, 16, 21, 26]
    assert await feed.read() == []
    await publish(connection, 10, first=30)
    assert [each.event["id"] for each in await feed.read()] == [31, 36]


def test_a_wrong_condition_is_refused():
    """A text that is no condition on events names the option."""
    with pytest.raises(InputError, match="The condition of --where"):
        compile_condition("no_such_column = 1")


@pytest.mark.parametrize(
    "arguments", [(), ("acme/1", "--at", "events/0/1"), ("acme",), ("acme/x",), ("--at", "events/1")], ids=str
)
async def test_an_event_must_be_named_in_one_way(command_line_without_kafka, arguments):
    """Neither or both of id and place, and what is neither, end with 2."""
    await command_line_without_kafka("events", "show", *arguments, code=2)


@pytest.mark.parametrize(
    "arguments", [("tail",), ("events", "show", "acme/1"), ("organizations", "history")], ids=" ".join
)
async def test_a_kafka_that_does_not_answer_is_one_line(command_line_without_kafka, arguments):
    """Each names the Kafka that cannot be reached, and ends with 1."""
    refused = await command_line_without_kafka(*arguments, code=1)
    assert refused.err.startswith("Kafka at 127.0.0.1:1 refuses the connection")
    assert len(refused.output.splitlines()) == 1
