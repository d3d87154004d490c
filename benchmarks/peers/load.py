"""The audit events of a run: drawn from a seed, and written to the topics that the peers read."""

import argparse
import itertools
import random
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

sys.path.insert(0, str(Path(__file__).parents[2]))

from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

import schemas
from producer.sources.jira_cloud.mapping import to_event
from relay.avro.codec import Encoder, fingerprint
from relay.kafka.topics import Topics, partition_of
from simulators.jira_cloud.hostile import make_hostile_record
from simulators.jira_cloud.records import RecordGenerator

SCHEMA = schemas.load("audit_event")
REGISTRY_ID = 1
"""Id of the schema in the registry of a peer that knows no other framing."""
SINGLE_OBJECT_BYTES = 10
"""Bytes before the body in Avro's single-object encoding: two of the marker, eight of the fingerprint."""
DISTINCT = 50_000
"""Records that are drawn; more events repeat them with other ids and times."""
LONG_VALUES = (4_000, 20_000)
EVENTS_PER_TRANSACTION = 6_000
CREATED_MS = 1_763_800_000_000


@dataclass(frozen=True, slots=True)
class Shape:
    """The events to draw. `size`: "mixed" as Jira sends them, "small" (200 bytes) or "large" (10 kB)."""

    count: int = 400_000
    organizations: int = 40
    size: str = "mixed"


def draw_events(shape: Shape) -> Iterator[dict[str, Any]]:
    """Yield events in bursts of an organization: single ones, groups of people, whole projects; some are odd or long."""
    rng = random.Random(1)
    sources = [
        (f"org-{number}.atlassian.net", RecordGenerator(str(number))) for number in range(shape.organizations)
    ]
    weights = [1 / (place + 1) for place in range(len(sources))]  # few organizations have most events
    distinct = min(shape.count, DISTINCT)
    drawn: list[dict[str, Any]] = []
    while len(drawn) < distinct:
        name, source = rng.choices(sources, weights)[0]
        for record in _burst(source, rng, shape.size):
            event = to_event({**record, "id": 1, "created": CREATED_MS}, name)
            drawn.append(cast("dict[str, Any]", event))
    now = time.time_ns() // 1_000_000
    for number, event in enumerate(itertools.islice(itertools.cycle(drawn[:distinct]), shape.count)):
        own = {"id": 10_000 + number, "created": CREATED_MS + number * 37, "collected": now, "mode": "live"}
        yield {**event, **own}


def _burst(source: RecordGenerator, rng: random.Random, size: str) -> list[dict[str, Any]]:
    if size == "small":
        user = f"{rng.getrandbits(64):016x}-{rng.getrandbits(64):016x}"
        known = {
            "remoteAddress": "203.0.113.7",
            "authorKey": f"ug:{user}",
            "authorAccountId": f"557058:{user}",
        }
        return [{"summary": "User login", "category": "authentication", **known}]
    if size == "large":
        return [{**source.generate(), "description": _long_text(rng, 7_000)}]
    chance = rng.random()
    if chance < 0.02:
        return source.generate_project_creation()
    if chance < 0.05:
        return [source.generate("User added to group") for _ in range(rng.randint(20, 200))]
    if chance < 0.06:
        return [make_hostile_record(source, long=rng.randint(*LONG_VALUES))]
    if chance < 0.07:
        return [{**source.generate(), "description": _long_text(rng, rng.randint(*LONG_VALUES))}]
    return [source.generate()]


def _long_text(rng: random.Random, length: int) -> str:
    words = (
        "Berechtigung",
        "権限スキーム",
        "permission",
        "разрешение",
        "scheme",
        "für",
        "“quoted”",
        "line\n",
    )
    return " ".join(rng.choices(words, k=length // 8))[:length]


def load(bootstrap: str, prefix: str, shards: int, shape: Shape, *, registry: bool) -> None:
    """Write the events to the relay's topic, in transactions, and print their number and mean bytes.

    `registry`: write them to `PREFIX.registry` too, framed for a schema registry.
    """
    if registry:
        admin = AdminClient({"bootstrap.servers": bootstrap})
        created = admin.create_topics([NewTopic(registry_topic(prefix), shards, 1)])
        created[registry_topic(prefix)].result(30)
    encoder, topic = Encoder(SCHEMA, fingerprint(SCHEMA)), Topics(prefix).events
    head = b"\0" + REGISTRY_ID.to_bytes(4)
    producer = Producer(
        {
            "bootstrap.servers": bootstrap,
            "transactional.id": f"{prefix}.load",
            "compression.type": "lz4",
            "linger.ms": 20,
            "batch.size": 900_000,
            "queue.buffering.max.messages": 4 * EVENTS_PER_TRANSACTION,
        }
    )
    producer.init_transactions(30)
    size = count = 0
    events = draw_events(shape)
    while transaction := list(itertools.islice(events, EVENTS_PER_TRANSACTION)):
        producer.begin_transaction()
        for event in transaction:
            value, key = encoder.encode(event), event["organization"].encode()
            place = {"key": key, "partition": partition_of(event["organization"], shards)}
            producer.produce(topic, value, **place, timestamp=event["collected"])
            if registry:
                producer.produce(registry_topic(prefix), head + value[SINGLE_OBJECT_BYTES:], **place)
            size += len(value)
        count += len(transaction)
        producer.commit_transaction(60)
    print(count, size / count)


def registry_topic(prefix: str) -> str:
    return f"{prefix}.registry"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bootstrap")
    parser.add_argument("prefix")
    parser.add_argument("--shards", type=int, required=True)
    parser.add_argument("--events", type=int, required=True)
    parser.add_argument("--organizations", type=int, required=True)
    parser.add_argument("--size", choices=("mixed", "small", "large"), default="mixed")
    parser.add_argument("--registry", action="store_true")
    given = parser.parse_args()
    shape = Shape(given.events, given.organizations, given.size)
    load(given.bootstrap, given.prefix, given.shards, shape, registry=given.registry)
