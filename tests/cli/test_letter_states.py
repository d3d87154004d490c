"""`jira-relay dead-letters`: letters that were redriven or failed again, by every command, on a real Kafka."""

import asyncio
import json

from aiokafka.admin import AIOKafkaAdminClient, NewPartitions

from consumer.delivery.dead_letters import DeadLetterWriter
from relay.avro.codec import InternalCodec
from relay.dead_letters.letter import mark_record, parse_letter
from relay.dead_letters.log import open_letter_log
from relay.kafka import TopicPartition
from relay.kafka.log_reader import read_to_end, standalone_consumer
from relay.kafka.producer import RecordWriter
from relay.kafka.topics import Topics, partition_of
from tests.support.command_line import run_bytes
from tests.support.messages import event, message

CODEC = InternalCodec("audit_event")


def addresses(documents):
    return [f"{each['partition']}/{each['offset']}" for each in documents]


async def letters_on(connection):
    """Return the letters of the topic, in order."""
    topic, found = Topics(connection.kafka.topic_prefix).dead_letters, []
    async with standalone_consumer(connection) as reader:
        partitions = [TopicPartition(topic, number) for number in range(2)]
        ends = await reader.end_offsets(partitions)
        await read_to_end(reader, dict.fromkeys(partitions, 0), ends, found.append)
    return [parse_letter(record) for record in found]


async def write_three_letters(connection):
    """Write a letter that was redriven, one that failed again, and its successor. Return them."""
    topic = Topics(connection.kafka.topic_prefix).dead_letters
    async with RecordWriter(connection) as writer:
        letters = DeadLetterWriter(writer, topic, "sentinel", fields=lambda _: {"flow": "live"})
        for number in (1, 2):
            await letters.put(message(event(number), CODEC, offset=number), f"column {number} is odd", 400)
        first, second = await letters_on(connection)
        mark = mark_record(topic, first, b"acme.atlassian.net", "job-1", first.at + 1)
        await writer.send(topic, mark.key, mark.value, partition=mark.partition, headers=mark.headers)
        again = DeadLetterWriter(
            writer,
            topic,
            "sentinel",
            fields=lambda _: {"redrive": second.address, "tries": "2", "replay": "job-1"},
        )
        await again.put(message(event(2), CODEC, offset=2), "column 2 is odd", 400)
    return first, second, (await letters_on(connection))[-1]


async def test_every_command_knows_the_state_of_a_letter(command_line, connection):
    """List, counts, show and export agree on which letters are open, redriven, or failed again."""
    first, second, third = await write_three_letters(connection)
    listed = (await command_line("dead-letters", "list", "--json")).json
    states = dict(zip(addresses(listed), (each["state"] for each in listed), strict=True))
    assert states == {first.address: "redriven", second.address: "failed again", third.address: "open"}

    found = (await command_line("dead-letters", "list", "--open", "--json")).json
    assert addresses(found) == [third.address]
    found = (await command_line("dead-letters", "list", "--redriven", "--reason", "COLUMN 1", "--json")).json
    assert addresses(found) == [first.address]
    assert (
        await command_line("dead-letters", "list", "--to", "2020-01-01")
    ).out == "There are no such dead letters.\n"
    assert (await command_line("dead-letters", "list", "--open", "--redriven", code=2)).err
    assert (
        await command_line("dead-letters", "list", "--from", "2026-01-02", "--to", "2026-01-01", code=2)
    ).err

    (group,) = (await command_line("dead-letters", "list", "--counts", "--json")).json
    assert {name: group[name] for name in ("letters", "open", "redriven", "failed_again")} == {
        "letters": 3,
        "open": 1,
        "redriven": 1,
        "failed_again": 1,
    }
    await explanations_are_shown(command_line, first, second, third)
    await the_export_has_the_events(third)


async def explanations_are_shown(command_line, first, second, third):
    shown = (await command_line("dead-letters", "show", first.address)).out
    assert "sentinel (live) refused an event of acme.atlassian.net with status 400: column 1 is odd." in shown
    assert "It was redriven at" in shown
    assert "by the replay job-1" in shown
    assert (
        f"see dead letter {third.address}" in (await command_line("dead-letters", "show", second.address)).out
    )

    explanation = (await command_line("dead-letters", "show", third.address, "--json")).json["explanation"]
    assert "refusal 2 of this event" in explanation[1]
    assert explanation[2].startswith("3 dead letters have this reason")
    assert explanation[3] == "It is open."
    assert "The settings have no destination sentinel any more" in explanation[4]
    marked = (await command_line("dead-letters", "show", f"{first.partition}/2", code=1)).err
    assert f"marks {first.address} as redriven by the replay job-1" in marked


async def the_export_has_the_events(third):
    exported = await asyncio.to_thread(
        run_bytes, ["dead-letters", "export", "--open", "--organization", "acme.atlassian.net"]
    )
    (document,) = map(json.loads, exported.splitlines())
    assert addresses([document]) == [third.address]
    assert document["event"]["id"] == 2
    assert document["headers"]["relay.redrive"].startswith(f"{third.partition}/")


async def partition_count(connection):
    async with open_letter_log(connection) as log:
        return len(log.bounds)


async def test_letters_of_an_organization_are_found_after_partitions_were_added(command_line, connection):
    """Its key has another partition then, and the letters of before are in the former one."""
    topic = Topics(connection.kafka.topic_prefix).dead_letters
    name = next(
        each for each in map("org-{}".format, range(99)) if partition_of(each, 2) != partition_of(each, 3)
    )
    async with RecordWriter(connection) as writer:
        letters = DeadLetterWriter(writer, topic, "sentinel", fields=lambda _: {"flow": "live"})
        await letters.put(message(event(1, organization=name), CODEC, offset=1), "odd", 400)
    admin = AIOKafkaAdminClient(bootstrap_servers=connection.bootstrap)
    await admin.start()
    try:
        await admin.create_partitions({topic: NewPartitions(total_count=3)})
    finally:
        await admin.close()

    async with asyncio.timeout(120):
        while await partition_count(connection) < 3:
            await asyncio.sleep(0.2)
    listed = (await command_line("dead-letters", "list", "--organization", name, "--json")).json
    assert [each["organization"] for each in listed] == [name]
