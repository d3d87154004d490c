"""`jira-relay dead-letters`: dead letters as producers and consumers write them, on a real Kafka."""

import asyncio
import gzip
import json
import random

import pytest

from consumer.delivery.dead_letters import DeadLetterWriter
from producer.events import UnreadableRecord
from producer.publishing.dead_letters import dead_letter_records
from producer.state.checkpoint import new_checkpoint
from relay.avro.codec import InternalCodec
from relay.kafka import TopicPartition
from relay.kafka.log_reader import read_to_end, standalone_consumer
from relay.kafka.producer import RecordWriter
from relay.kafka.topics import Topics, partition_of
from tests.support.command_line import run_bytes

AT = 1_790_000_000_000
PART_BYTES = 200_000
RAW = b'{"id": "no number", "summary": "J\xc3\xb6rg \\ud83d"}'


def dead_letters_topic(connection):
    return Topics(connection.kafka.topic_prefix).dead_letters


async def put_producer_dead_letter(connection, raw, organization="acme", at_ms=AT, reason="no readable id"):
    partition = partition_of(organization, 2)
    parts = dead_letter_records(
        UnreadableRecord(reason, raw),
        topic=dead_letters_topic(connection),
        partition=partition,
        organization=organization,
        at_ms=at_ms,
        max_value_bytes=PART_BYTES,
    )
    async with RecordWriter(connection) as writer:
        offsets = [
            await writer.send(
                part.topic,
                part.key,
                part.value,
                partition=partition,
                headers=part.headers,
                timestamp_ms=part.timestamp,
            )
            for part in parts
        ]
    return [f"{partition}/{offset}" for offset in offsets]


async def put_consumer_dead_letter(connection, value, key=b"acme"):
    """Write an event, and the dead letter of a consumer whose destination rejected it."""
    topic, found = Topics(connection.kafka.topic_prefix).events, []
    async with RecordWriter(connection) as writer:
        offset = await writer.send(topic, key, value, partition=0)
        tp = TopicPartition(topic, 0)
        async with standalone_consumer(connection) as reader:
            await read_to_end(reader, {tp: offset}, {tp: offset + 1}, found.append)
        await DeadLetterWriter(writer, dead_letters_topic(connection), "sentinel", lambda: AT).put(
            found[0], "too odd", 400
        )


async def test_an_empty_topic_is_not_an_error(command_line):
    """Without dead letters the list says so, and its document is an empty list."""
    assert (await command_line("dead-letters", "list")).out == "There are no dead letters.\n"
    assert (await command_line("dead-letters", "list", "--json")).json == []


async def test_a_dead_letter_is_shown_with_its_original_text(command_line, connection):
    """The list shows reason and organization, and `show` the text that Jira sent."""
    (address,) = await put_producer_dead_letter(connection, RAW)
    line = (await command_line("dead-letters", "list")).out.splitlines()[1]
    assert line.split() == [
        address,
        "2026-09-21T14:13:20Z",
        "acme",
        "producer",
        "open",
        "no",
        "readable",
        "id",
    ]

    assert RAW.decode() in (await command_line("dead-letters", "show", address)).out.splitlines()
    document = (await command_line("dead-letters", "show", address, "--json")).json
    assert document["text"] == RAW.decode()
    assert document["headers"]["relay.reason"] == "no readable id"


async def test_binary_content_is_shown_in_hexadecimal(command_line, connection):
    """A consumer's dead letter, in Avro, is shown in hexadecimal with offset, destination and status."""
    value = bytes(range(256))
    await put_consumer_dead_letter(connection, value)
    (listed,) = (await command_line("dead-letters", "list", "--json")).json
    address = f"{listed['partition']}/{listed['offset']}"

    assert listed["headers"]["relay.destination"] == "sentinel"
    assert (listed["headers"]["relay.status"], listed["headers"]["relay.offset"]) == ("400", "0")
    assert (await command_line("dead-letters", "show", address, "--json")).json["hex"] == value.hex()
    assert value[:32].hex(" ") in (await command_line("dead-letters", "show", address)).out


async def test_a_record_of_the_relay_is_decoded(command_line, connection):
    """Avro of the relay is shown as JSON where its schema is known; --raw gives the original bytes, and nothing else."""
    record = new_checkpoint("acme", AT, now=AT).to_record()
    value = InternalCodec("checkpoint").encode(record)
    await put_consumer_dead_letter(connection, value)
    (listed,) = (await command_line("dead-letters", "list", "--json")).json
    show = ("dead-letters", "show", f"{listed['partition']}/{listed['offset']}")

    shown = (await command_line(*show)).out
    assert '"window_end": 1790000000000' in shown
    assert "schema        Checkpoint" in shown
    document = (await command_line(*show, "--json")).json
    record["active_hours"] |= {"hours": ""}  # bytes are text in JSON
    assert (document["hex"], document["record"], document["subject"]) == (value.hex(), record, "Checkpoint")
    assert await asyncio.to_thread(run_bytes, [*show, "--raw"]) == value


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (bytes.fromhex("0000000007") + b"body", "schema id 7, and schema_registry.url is not set"),
        (bytes.fromhex("c301") + b"12345678" + b"body", "has no schema with the fingerprint"),
        (
            InternalCodec("checkpoint").encode(new_checkpoint("acme", AT, now=AT).to_record())[:-3],
            "cannot be decoded",
        ),
    ],
)
async def test_content_that_is_not_decoded_has_a_remark(command_line, connection, value, words):
    """Where the schema is not known or the body is corrupt, a remark says so, and the bytes are shown in hexadecimal."""
    await put_consumer_dead_letter(connection, value)
    (listed,) = (await command_line("dead-letters", "list", "--json")).json
    shown = await command_line("dead-letters", "show", f"{listed['partition']}/{listed['offset']}")

    assert words in shown.out
    assert value[:5].hex(" ") in shown.out


async def test_any_part_shows_the_whole_dead_letter(command_line, connection):
    """A large record has several compressed parts: it is listed once, shown whole, and never mixed with its neighbour's."""
    rng = random.Random(1)
    large = [json.dumps({"n": n, "x": rng.randbytes(PART_BYTES).hex()}).encode() for n in range(2)]
    addresses = [await put_producer_dead_letter(connection, raw) for raw in large]
    await put_producer_dead_letter(connection, RAW, at_ms=AT + 1)

    assert all(len(parts) == 2 for parts in addresses)
    listed = (await command_line("dead-letters", "list", "--json")).json
    assert [f"{one['partition']}/{one['offset']}" for one in listed][1:] == [addresses[1][0], addresses[0][0]]
    for raw, parts in zip(large, addresses, strict=True):
        for address in parts:
            shown = (await command_line("dead-letters", "show", address, "--json")).json
            assert shown["text"].encode() == raw
            assert shown["remark"] is None


async def test_a_corrupt_dead_letter_is_shown_with_a_remark(command_line, connection):
    """Missing parts and corrupt compression are reported, and the remaining content is shown."""
    async with RecordWriter(connection) as writer:

        async def put(value, **headers):
            named = [(f"relay.{name}", text.encode()) for name, text in headers.items()]
            return await writer.send(
                dead_letters_topic(connection), b"acme", value, partition=1, headers=named
            )

        lonely = await put(b"second half", reason="r", at="1", part="2/2")
        broken = await put(gzip.compress(b"x")[:-9], part="1/1", encoding="gzip")
        garbage = await put(b"no gzip", part="1/1", encoding="gzip")
        odd = await put(b"plain", part="3/0")
        empty = await put(None)

    show = ("dead-letters", "show")
    assert "Only 1 of its 2 parts" in (await command_line(*show, f"1/{lonely}")).out
    assert "The content is incomplete" in (await command_line(*show, f"1/{broken}")).out
    assert "no gzip" in (await command_line(*show, f"1/{garbage}")).out
    assert "plain" in (await command_line(*show, f"1/{odd}")).out
    assert (await command_line(*show, f"1/{empty}", "--json")).json["text"] == ""


async def test_the_newest_of_an_organization_are_found_behind_others(command_line, connection):
    """--limit lists the newest, and --organization finds its own behind any number of others."""
    for number in range(3):
        await put_producer_dead_letter(connection, b"old", at_ms=AT + number)
    other = next(name for name in map(str, range(100)) if partition_of(name, 2) == partition_of("acme", 2))
    async with RecordWriter(connection) as writer:
        for _ in range(450):
            await writer.send(
                dead_letters_topic(connection),
                other.encode(),
                b"{}",
                partition=partition_of("acme", 2),
                timestamp_ms=AT + 9,
            )

    listed = (await command_line("dead-letters", "list", "--limit", "2", "--json")).json
    assert [one["organization"] for one in listed] == [other, other]
    found = await command_line("dead-letters", "list", "--organization", "acme", "--limit", "2", "--json")
    assert [one["at"][-4:] for one in found.json] == ["002Z", "001Z"]


@pytest.mark.parametrize(
    ("address", "code"), [("0/99", 1), ("99/0", 1), ("x", 2), ("1/2/3", 2), ("-1/0", 2), ("1/" + "9" * 40, 2)]
)
async def test_an_address_without_a_dead_letter_is_refused(command_line, address, code):
    """An invalid address ends with 2, and an address without a dead letter with 1."""
    assert len((await command_line("dead-letters", "show", "--", address, code=code)).err.splitlines()) == 1


async def test_an_invalid_name_is_refused(command_line_without_kafka):
    """A name that is not text ends with 2."""
    await command_line_without_kafka("dead-letters", "list", "--organization", "\udcff", code=2)
