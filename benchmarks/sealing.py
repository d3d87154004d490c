"""Measure what the watch over days costs, as a part of what polling costs.

    .venv/bin/python benchmarks/sealing.py [--organizations 1000] [--events 20] [--seconds 60]

1. `jira-relay produce` polls the organizations every ten seconds; its CPU time gives that of a quiet round.
2. `jira-relay proof watch` makes its first round: it seals a day of each organization, and counts the seven days after it. That
   is the work of a day.
3. A round that finds nothing due is made in this process; a day has 47 more of them.

A bare server plays the Jira sites. Figures are CPU seconds of the relay's process alone.
"""

import argparse
import asyncio
import base64
import json
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from bounds import service
from organizations import RECORD, SHARDS, JiraStub, cpu_seconds, put_organizations
from pyroaring import BitMap64

import schemas
from embedded import EmbeddedKafka
from management.completeness.collect import ProofContext
from management.completeness.due_days import DueDays, LastCount, due_days
from management.completeness.progress import ProgressSummary
from management.completeness.progress_follower import ProgressFollower
from management.completeness.rounds import seal_round
from management.completeness.seal_view import PATIENT, SealView
from management.completeness.sealing import open_sealer
from management.completeness.signature import SigningKey
from management.settings import Settings
from producer.events import Event
from producer.sources.jira_cloud.mapping import to_event
from producer.state.checkpoint import Checkpoint, new_checkpoint
from producer.state.ledger import DayLedger, Ledger, LedgerDelta, progress_key
from relay.avro.codec import Encoder, InternalCodec, fingerprint
from relay.config.schema_registry import SchemaRegistryConfig
from relay.kafka.connection import Connection
from relay.kafka.producer import ProducerRecord
from relay.kafka.topic_admin import create_missing_topics
from relay.kafka.topics import Topics, partition_of
from relay.kafka.transactions import TransactionalProducer
from relay.timestamps import DAY_MS, day_of, day_start, now_ms, parse_iso, to_iso

LATE_DAYS = 7
DAYS = LATE_DAYS + 2
"""One is sealed, seven are counted, and the last one is today."""
ROUNDS_A_DAY = 48
CHECKPOINTS_A_ROUND = 6
"""An organization in which nothing happens writes one every five minutes."""
POLLING_ROUND = 0.0024
"""CPU seconds of a quiet round of polling among 1,000 organizations, by benchmarks/organizations.py (docs/performance.md)."""
INTERVAL = 10
START_SECONDS = 180.0
"""Within which each organization must have been polled twice."""
KEY = bytes(32)
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


def require(true: bool, found: object) -> None:
    """Raise unless the benchmark measures what it means to."""
    if not true:
        raise RuntimeError(f"The benchmark is wrong: {found}")


def names_of(count: int, port: int) -> list[str]:
    """Return the names that `put_organizations` gives."""
    return [f"127.1.{number // 250}.{number % 250 + 1}:{port}" for number in range(count)]


async def polling_seconds(kafka: EmbeddedKafka, count: int, seconds: float) -> float:
    """Return the CPU seconds of a quiet round of one organization."""
    variables = {"RELAY_KEY_BENCHMARK": "a key", "RELAY_PRODUCER__INTERVAL_SECONDS": str(INTERVAL)}
    async with service("produce", kafka.bootstrap, variables) as pid:
        end = time.monotonic() + START_SECONDS
        while _rounds() < 2 * count:
            require(time.monotonic() < end, "the producer did not begin to poll")
            await asyncio.sleep(1)
        spent, before = cpu_seconds(pid), _rounds()
        await asyncio.sleep(seconds)
        return (cpu_seconds(pid) - spent) / (_rounds() - before)


def _rounds() -> int:
    return sum(map(len, JiraStub.rounds.values()))


async def watch_seconds(kafka: EmbeddedKafka, connection: Connection, count: int) -> float:
    """Return the CPU seconds of the first round of the watch, its start excluded."""
    variables = {"RELAY_KEY_BENCHMARK": "a key", "RELAY_PROOF__KEY": base64.b64encode(KEY).decode()}
    view = SealView(connection, now_ms, PATIENT)
    async with service(("proof", "watch"), kafka.bootstrap, variables) as pid:
        await asyncio.sleep(10)
        started, end = cpu_seconds(pid), time.monotonic() + 480
        while True:
            await view.refresh()
            found = view.index.organizations.values()
            if len(found) == count and all(len(one.accounts) == LATE_DAYS and one.sealed for one in found):
                words = {
                    mark.state for one in found for mark in (*one.accounts.values(), *one.sealed.values())
                }
                require(words == {"complete"}, words)
                return cpu_seconds(pid) - min(started, 3.0)
            require(time.monotonic() < end, "the round did not end")
            await asyncio.sleep(2)


async def idle_seconds(connection: Connection, names: list[str]) -> float:
    """Return the CPU seconds of a round in which nothing is due."""
    context, now = ProofContext(connection, SchemaRegistryConfig(), {}, now_ms), now_ms()
    async with open_sealer(context, SigningKey(KEY)) as sealer:

        def plan(name: str, progress: ProgressSummary) -> DueDays:
            seals = sealer.index.of(name)
            counts = {
                day: LastCount(now, progress.counts.get(day, 0), settled=True)
                for day in (*seals.accounts, *seals.sealed)
            }
            found = due_days(progress, seals, counts, now, LATE_DAYS)
            require(not found.all, found)
            return found

        progress = ProgressFollower(connection)
        await seal_round(connection, sealer, names, progress, plan, lambda _: None)
        await put_checkpoints(connection, names)
        began = time.process_time()
        await seal_round(connection, sealer, names, progress, plan, lambda _: None)
        return time.process_time() - began


async def main(count: int, events: int, seconds: float) -> None:
    server = await asyncio.get_running_loop().create_server(Sites, "0.0.0.0", 0, backlog=4096)
    port = server.sockets[0].getsockname()[1]
    Sites.first_day = first_day = day_start(day_of(now_ms() - (DAYS - 1) * DAY_MS))
    with tempfile.TemporaryDirectory() as directory:
        async with EmbeddedKafka(Path(directory), heap="512m", flush_each_write=False) as kafka:
            settings = {"bootstrap": kafka.bootstrap, "replication_factor": 1, "shards": SHARDS}
            connection = Connection(Settings(kafka=settings).kafka)
            await create_missing_topics(connection)
            await put_organizations(connection, count, port)
            await put_days(connection, count, port, first_day, events)
            polled = await polling_seconds(kafka, count, seconds) if seconds else POLLING_ROUND
            Sites.events_a_day = events
            busy = await watch_seconds(kafka, connection, count) / count
            idle = await idle_seconds(connection, names_of(count, port)) / count
    server.close()
    day, polling = busy + (ROUNDS_A_DAY - 1) * idle, polled * 86_400 / 60
    print(
        f"{count} organizations, {events} events a day each: a quiet round of polling takes {1000 * polled:.2f} ms of CPU"
        f" ({'measured' if seconds else 'by benchmarks/organizations.py'}); the first round of the watch"
        f" {1000 * busy:.2f} ms, an idle one {1000 * idle:.3f} ms."
    )
    print(
        f"A day of the watch is {1000 * day:.1f} ms an organization, which is {100 * day / polling:.2f} % of polling every minute"
        f" ({polling:.2f} s)."
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--organizations", type=int, default=1_000, help="organizations")
    parser.add_argument("--events", type=int, default=20, help="events of an organization and day")
    parser.add_argument(
        "--seconds", type=float, default=60.0, help="seconds of polling; 0: it is not measured"
    )
    given = parser.parse_args()
    asyncio.run(main(given.organizations, given.events, given.seconds))
