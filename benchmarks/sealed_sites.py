"""The sites and the stored days of `sealing.py`: what an organization has in Jira and on Kafka after a week of polling."""

import asyncio
import json
import threading
import time
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs, urlsplit

from organizations import RECORD, SHARDS, JiraStub
from pyroaring import BitMap64

import schemas
from producer.events import Event
from producer.sources.jira_cloud.mapping import to_event
from producer.state.checkpoint import Checkpoint, new_checkpoint
from producer.state.ledger import DayLedger, Ledger, LedgerDelta, progress_key
from relay.avro.codec import Encoder, InternalCodec, fingerprint
from relay.kafka.connection import Connection
from relay.kafka.producer import ProducerRecord
from relay.kafka.topics import Topics, partition_of
from relay.kafka.transactions import TransactionalProducer
from relay.timestamps import DAY_MS, day_of, now_ms, parse_iso, to_iso

LATE_DAYS = 7
DAYS = LATE_DAYS + 2
"""One is sealed, seven are counted, and the last one is today."""
CHECKPOINTS_A_ROUND = 6
"""An organization in which nothing happens writes one every five minutes."""
AUDIT_EVENT = schemas.load("audit_event")
ENCODER = Encoder(AUDIT_EVENT, fingerprint(AUDIT_EVENT))
MAX_RECORDS = 2_000
"""Of one transaction of the preparation, about."""


class Sites(JiraStub):
    """The sites. Quiet while they are polled; then each lists the events of the days that it is asked for."""

    events_a_day = 0
    """Zero: the sites are quiet."""
    first_day = 0

    def page(self, site: bytes, target: bytes) -> bytes:
        asked = parse_qs(urlsplit(target.decode()).query)
        if not self.events_a_day or "from" not in asked:
            return super().page(site, target)
        begin, end = (parse_iso(asked[name][0]) for name in ("from", "to"))
        records = list[dict[str, Any]]()
        if begin is not None and end is not None and asked.get("offset", ["0"]) == ["0"]:
            first, last = ((each - self.first_day) // DAY_MS for each in (begin.ms, end.ms - 1))
            records = [
                one
                for day in range(first, last + 1)
                for one in records_of(self.first_day, day, self.events_a_day)
            ]
        page = {"offset": 0, "limit": 1000, "total": len(records), "records": records[::-1]}
        return json.dumps(page).encode()


def records_of(first_day: int, day: int, count: int) -> list[dict[str, Any]]:
    """Return the records of a day, as Jira serves them."""
    start = first_day + day * DAY_MS
    return [
        RECORD
        | {
            "id": 1 + day * count + number,
            "created": f"{to_iso(start + number * 1000)[:-1]}+0000",
            "authorAccountId": f"712020:{number}",
            "objectItem": {"id": "10000", "name": f"user {number}", "typeName": "USER"},
        }
        for number in range(count)
    ]


class SiteThread:
    """The sites, in a thread of their own. `seconds` is the CPU time that they have taken."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, daemon=True).start()
        serving = self._loop.create_server(Sites, "0.0.0.0", 0, backlog=4096)
        server = asyncio.run_coroutine_threadsafe(serving, self._loop).result(60)
        self.port = server.sockets[0].getsockname()[1]

    def seconds(self) -> float:
        async def thread_seconds() -> float:
            return time.thread_time()

        return asyncio.run_coroutine_threadsafe(thread_seconds(), self._loop).result(60)

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)


async def put_days(connection: Connection, count: int, port: int, first_day: int, events: int) -> None:
    """Write the events, ledgers and checkpoint of organizations that were polled since the first day."""
    publisher, records = await TransactionalProducer.open(connection, "days"), list[ProducerRecord]()
    days = [
        [
            event
            for record in records_of(first_day, day, events)
            if isinstance(event := to_event(record, ""), dict)
        ]
        for day in range(DAYS - 1)
    ]
    for name in names_of(count, port):
        records += records_of_organization(connection, name, first_day, days)
        if len(records) > MAX_RECORDS:
            await publisher.publish(records)
            records = []
    await publisher.publish(records)
    await publisher.discard()


def records_of_organization(
    connection: Connection, name: str, first_day: int, days: list[list[Event]]
) -> list[ProducerRecord]:
    """Return the events of some days, their ledgers and the checkpoint, as a producer leaves them behind."""
    topics, partition = Topics(connection.kafka.topic_prefix), partition_of(name, SHARDS)
    found, ledgers = list[ProducerRecord](), dict[str, DayLedger]()
    for number, of_the_day in enumerate(days):
        ledgers[day_of(first_day + number * DAY_MS)] = DayLedger(
            ids=BitMap64(each["id"] for each in of_the_day)
        )
        for one in of_the_day:
            added = {
                "organization": name,
                "collected": one["created"] + 1000,
                "mode": "live",
                "variant": None,
            }
            value = ENCODER.encode(one | added)
            found.append(ProducerRecord(topics.events, partition, name.encode(), value, added["collected"]))
    for key, record in Ledger(name).to_records(LedgerDelta(ledgers, 0)).items():
        encoded = None if record is None else InternalCodec("day_ledger").encode(record)
        found.append(ProducerRecord(topics.progress, partition, key.encode(), encoded))
    value = InternalCodec("checkpoint").encode(_checkpoint(name, first_day).to_record())
    return [*found, ProducerRecord(topics.progress, partition, progress_key(name).encode(), value)]


async def put_checkpoints(connection: Connection, names: list[str]) -> None:
    """Write the checkpoints of half an hour in which nothing happens."""
    topic, codec = Topics(connection.kafka.topic_prefix).progress, InternalCodec("checkpoint")
    publisher = await TransactionalProducer.open(connection, "checkpoints")
    for begin in range(0, len(names), MAX_RECORDS // CHECKPOINTS_A_ROUND):
        records = []
        for name in names[begin : begin + MAX_RECORDS // CHECKPOINTS_A_ROUND]:
            value = codec.encode(_checkpoint(name, Sites.first_day).to_record())
            record = ProducerRecord(topic, partition_of(name, SHARDS), progress_key(name).encode(), value)
            records += [record] * CHECKPOINTS_A_ROUND
        await publisher.publish(records)
    await publisher.discard()


def _checkpoint(name: str, first_day: int) -> Checkpoint:
    now = now_ms()
    return replace(new_checkpoint(name, first_day, now=now), window_end=now, week_mark=now, day_mark=now)


def names_of(count: int, port: int) -> list[str]:
    """Return the names that `put_organizations` gives."""
    return [f"127.1.{number // 250}.{number % 250 + 1}:{port}" for number in range(count)]
