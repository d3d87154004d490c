"""Measure the CPU time of an event from Avro to a compressed body: decode, shape, write JSON, compress.

    .venv/bin/python benchmarks/columns.py [--runs 5]

The relay's columns are compared with a careful record-by-record consumer (fastavro, orjson). Both use gzip of isal and
alternate in one run, on one core and without a network.
"""

import argparse
import os
import random
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

os.environ["POLARS_MAX_THREADS"] = "1"
sys.path.insert(0, str(Path(__file__).parent.parent))

import fastavro
import orjson
from isal import igzip

import schemas
from consumer.decoding import columns
from consumer.delivery.batch import RequestBatch, Rows
from consumer.destinations.azure_ingestion.body import BODY_FORMAT, MAX_BODY_BYTES, encode_body
from consumer.destinations.sentinel import rows as sentinel
from consumer.offsets.tracker import TrackedRecords
from relay.avro.codec import Encoder, SchemaId, parsed_schema

SCHEMA = schemas.load("audit_event")
REF = SchemaId(7)
BATCHES = (500, 20_000)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Message:
    value: bytes
    key: bytes
    timestamp: int
    offset: int
    topic: str = "events"
    partition: int = 0
    timestamp_type: int = 0
    headers: tuple[tuple[str, bytes], ...] = ()


def event(number: int, rng: random.Random) -> dict[str, Any]:
    """Return an event of some 400 bytes, as most events of Jira are."""
    at = 1_763_800_000_000 + number * 37
    user = f"ug:0613fc34-{rng.getrandbits(64):016x}"
    item = {"id": user, "name": rng.choice(["Zoë Müller", "alice", "Łukasz"]), "typeName": "USER"}
    group = {"id": None, "name": "site-admins", "typeName": "GROUP"}
    place = {"parentId": "1", "parentName": "com.atlassian.crowd.directory.IdentityPlatformRemoteDirectory"}
    changes = [{"fieldName": "Email", "changedFrom": None, "changedTo": f"{user[3:20]}@example.com"}]
    return {
        "organization": f"org{number % 7}.atlassian.net",
        "id": 2**33 + number,
        "created": at,
        "collected": at + 2_000,
        "mode": "live",
        "summary": rng.choice(["User added to group", "User created", "Workflow updated"]),
        "category": "user management",
        "description": None,
        "eventSource": "",
        "remoteAddress": None if number % 3 else f"10.0.{number % 250}.7",
        "authorKey": None if number % 11 == 0 else user,
        "authorAccountId": None if number % 11 == 0 else f"5b10a2844c{rng.getrandbits(56):014x}",
        "objectItem": {**(group if number % 2 else item), **place},
        "changedValues": changes if number % 2 else None,
        "associatedItems": [{**item, **place}],
        "unmodeled": None,
        "variant": None,
    }


def messages(count: int) -> list[Message]:
    rng, encoder = random.Random(1), Encoder(SCHEMA, REF)
    events = [event(number, rng) for number in range(count)]
    return [
        Message(encoder.encode(each), each["organization"].encode(), each["collected"], number)
        for number, each in enumerate(events)
    ]


def process_by_columns(batch: Sequence[Message]) -> int:
    """Encode a batch as the relay does. Return the bytes of its bodies."""
    decoded = columns.decode(batch, {REF: SCHEMA})
    rows = Rows(sentinel.encode_rows(decoded.frame), TrackedRecords(batch))
    size, body = 0, RequestBatch(BODY_FORMAT, 1.0)
    while rows:
        rows = rows[body.try_add(rows, 0.0) :]
        size += len(encode_body(body.take().encoded))
    return size


def process_by_record(batch: Sequence[Message]) -> int:
    """Encode a batch record by record. Return the bytes of its bodies."""
    schema, read, dumps = parsed_schema(SCHEMA), fastavro.schemaless_reader, orjson.dumps
    size, rows, raw = 0, [], 2
    for message in batch:
        row = dumps(build_row(read(ByteReader(message.value[5:]), schema)))
        if raw + len(row) + 1 > MAX_BODY_BYTES:
            size += len(igzip.compress(b"[" + b",".join(rows) + b"]", 1))
            rows, raw = [], 2
        rows.append(row)
        raw += len(row) + 1
    return size + len(igzip.compress(b"[" + b",".join(rows) + b"]", 1))


def build_row(event: dict[str, Any]) -> dict[str, Any]:
    item = event["objectItem"] or {}
    row = {
        "EventId": event["id"],
        "EventUid": f"{event['organization']}/{event['id']}",
        "EventMessage": event["summary"],
        "EventDescription": event["description"],
        "EventCreationTime": _iso(event["created"]),
        "CollectedTime": _iso(event["collected"]),
        "EventCategoryType": event["category"],
        "EventSource": event["eventSource"],
        "SrcIpAddr": event["remoteAddress"],
        "UserName": event["authorKey"],
        "UserSid": event["authorAccountId"],
        "ObjectItemId": item.get("id"),
        "ObjectItemName": item.get("name"),
        "ObjectItemTypeName": item.get("typeName"),
        "ObjectItemParentId": item.get("parentId"),
        "ObjectItemParentName": item.get("parentName"),
        "objectItem": _without_nulls(item) if event["objectItem"] else None,
        "ChangedValues": [_without_nulls(each) for each in event["changedValues"] or ()] or None,
        "AssociatedItems": [_without_nulls(each) for each in event["associatedItems"] or ()] or None,
        "Organization": event["organization"],
        "EventMode": event["mode"],
        "Unmodeled": event["unmodeled"],
        "EventVendor": "Atlassian",
        "EventProduct": "Jira Audit",
    }
    return _without_nulls(row)


def _without_nulls(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _iso(ms: int) -> str:
    return (EPOCH + timedelta(milliseconds=ms)).strftime("%Y-%m-%dT%H:%M:%S.") + f"{ms % 1000:03d}Z"


class ByteReader:
    """A file of bytes with the one method that fastavro's reader needs."""

    __slots__ = ("_at", "_bytes")

    def __init__(self, content: bytes) -> None:
        self._bytes = content
        self._at = 0

    def read(self, size: int) -> bytes:
        self._at += size
        return self._bytes[self._at - size : self._at]


def cpu_per_event(work: Callable[[Sequence[Message]], int], batches: Sequence[Sequence[Message]]) -> float:
    """Return the CPU time of an event, in µs."""
    begun = time.process_time()
    for batch in batches:
        work(batch)
    return (time.process_time() - begun) / sum(map(len, batches)) * 1e6


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=5, help="runs of both programs")
    runs = parser.parse_args().runs
    all_messages = messages(20_000)
    mean = sum(len(each.value) for each in all_messages) / len(all_messages)
    print(
        f"20,000 events of {mean:.0f} bytes of Avro. CPU time of an event in µs: least / median / most of {runs} runs."
    )
    for size in BATCHES:
        batches = [all_messages[start : start + size] for start in range(0, len(all_messages), size)]
        cpu_per_event(process_by_columns, batches[:2]), cpu_per_event(process_by_record, batches[:1])
        pairs = [
            (cpu_per_event(process_by_columns, batches), cpu_per_event(process_by_record, batches))
            for _ in range(runs)
        ]
        ratios = [record / column for column, record in pairs]
        for name, values in (
            ("columns", [column for column, _ in pairs]),
            ("record by record", [record for _, record in pairs]),
            ("ratio", ratios),
        ):
            low, middle, high = min(values), statistics.median(values), max(values)
            print(f"{size:>6} a batch  {name:<18}{low:8.2f} /{middle:8.2f} /{high:8.2f}")


if __name__ == "__main__":
    main()
