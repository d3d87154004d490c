"""A topic, its group and a destination in memory, for histories of consumers that are drawn by a seed."""

import asyncio
import random
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import orjson
import polars as pl

from consumer.destinations.azure_ingestion.body import BODY_FORMAT
from consumer.destinations.contract import Body, Limits
from consumer.destinations.outcome import Outcome, Partial, Paused, Reject, Retry, Sent, Split
from consumer.destinations.sentinel import rows as sentinel
from consumer.formats.encoded_rows import EncodedRows
from consumer.offsets.delivered import DeliveryProgress, RecordFingerprint
from relay.kafka import KafkaError, OffsetAndMetadata, Record, TopicPartition
from relay.kafka.bounded_consumer import BoundedConsumer, CorruptBatch
from tests.support.messages import event, message

PARTITIONS = (TopicPartition("events", 0), TopicPartition("events", 1))
BAD_EVERY = 17
"""The destination rejects each event whose id is a multiple of this."""


class Topic:
    """The log of two partitions, with corrupt ranges, and the offsets of the group."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.organizations: Sequence[str] = chance.choice(
            (("acme.atlassian.net",), ("org0", "org1", "org2", "org3"))
        )
        self.records: dict[TopicPartition, dict[int, Any]] = {each: {} for each in PARTITIONS}
        self.ends = dict.fromkeys(PARTITIONS, 0)
        self.starts = dict.fromkeys(PARTITIONS, 0)
        self.corrupt_ranges: dict[TopicPartition, tuple[int, int]] = {}
        self.committed: dict[TopicPartition, OffsetAndMetadata] = {}
        self.appended = 0
        self.garbage: set[tuple[TopicPartition, int]] = set()
        self.done: set[tuple[TopicPartition, int]] = set()
        """Offsets that were accepted, dead-lettered or deleted."""
        self.places: dict[int, tuple[TopicPartition, int]] = {}

    def append(self, count: int) -> None:
        for _ in range(count):
            partition = self.chance.choice(PARTITIONS)
            self.ends[partition] += self.chance.choice((0, 0, 0, 1))  # a transaction marker
            offset, number = self.ends[partition], self.appended
            at = {"partition": partition.partition, "offset": offset}
            made = message(event(number, organization=self.chance.choice(self.organizations)), **at)
            if self.chance.random() < 0.04:
                made = replace(made, value=b"garbage")
                self.garbage.add((partition, offset))
            self.records[partition][offset] = made
            self.places[number] = (partition, offset)
            self.ends[partition] += 1
            self.appended += 1

    def corrupt(self) -> None:
        """Corrupt a range at the end of a partition, until `heal`."""
        partition = self.chance.choice(PARTITIONS)
        offsets = sorted(self.records[partition])[-6:]
        if offsets:
            self.corrupt_ranges[partition] = (offsets[0], offsets[-1])

    def delete(self) -> None:
        """Delete some of the oldest records, delivered or not, as retention does."""
        partition = self.chance.choice(PARTITIONS)
        start = self.starts[partition] + self.chance.randrange(4)
        self.starts[partition] = min(start, self.ends[partition])
        for offset in [each for each in self.records[partition] if each < start]:
            del self.records[partition][offset]
            self.done.add((partition, offset))

    def require_delivered(self, partition: TopicPartition, stored: OffsetAndMetadata) -> None:
        """Fail if something is committed that nobody has accepted."""
        progress = DeliveryProgress.from_offset_and_metadata(stored.offset, stored.metadata)
        for offset in self.records[partition]:
            ahead = any(each.first <= offset < each.stop for each in progress.delivered_ahead)
            assert (offset >= progress.offset and not ahead) or (partition, offset) in self.done, (
                f"{partition}, offset {offset} is committed and was not delivered: {progress}"
            )

    async def records_at(
        self, offsets: Mapping[TopicPartition, int]
    ) -> Mapping[TopicPartition, Record | None]:
        return {
            each: self.records[each].get(offset)
            for each, offset in offsets.items()
            if offset >= self.starts[each] and not self.is_corrupt(each, offset)
        }

    async def find(
        self, partition: TopicPartition, start: int, fingerprint: RecordFingerprint
    ) -> RecordFingerprint | None:
        made = (
            RecordFingerprint.of(each) for at, each in sorted(self.records[partition].items()) if at >= start
        )
        return next((each for each in made if each.is_same_record(fingerprint)), None)

    async def last_before(self, partition: TopicPartition, offset: int) -> RecordFingerprint | None:
        before = [each for at, each in sorted(self.records[partition].items()) if at < offset]
        return RecordFingerprint.of(before[-1]) if before else None

    def is_corrupt(self, partition: TopicPartition, offset: int) -> bool:
        first, last = self.corrupt_ranges.get(partition, (0, -1))
        return first <= offset <= last


class MemberConsumer(BoundedConsumer):
    """The consumer of one process: positions and pauses of its own, and commits that may fail on the way."""

    def __init__(self, topic: Topic, partitions: Iterable[TopicPartition]) -> None:
        self.topic = topic
        self.partitions = set(partitions)
        self.next: dict[TopicPartition, int] = {}
        self.paused: set[TopicPartition] = set()
        self.valid = True
        self.unreliable = False
        self.commit_fault: str | None = None

    async def wait_for_membership(self) -> None:
        if not self.valid:
            await asyncio.Event().wait()

    def seek(self, tp: TopicPartition, offset: int) -> None:
        self.next[tp] = offset

    def pause(self, partitions: Iterable[TopicPartition]) -> None:
        self.paused |= set(partitions)

    def resume(self, partitions: Iterable[TopicPartition]) -> None:
        self.paused -= set(partitions)

    def corrupt_batch(self, tp: TopicPartition) -> CorruptBatch | None:
        if not self.topic.is_corrupt(tp, self.next[tp]):
            return None
        return CorruptBatch(*self.topic.corrupt_ranges[tp], "made up")

    async def position(self, tp: TopicPartition) -> int:
        return self.next[tp]

    async def commit(self, offsets: Mapping[TopicPartition, OffsetAndMetadata]) -> None:
        await asyncio.sleep(0)
        if not self.valid or self.commit_fault == "refused":
            raise KafkaError("the group has moved on")
        for each, stored in offsets.items():
            self.topic.require_delivered(each, stored)
            self.topic.committed[each] = stored
        if self.commit_fault == "unanswered":
            raise TimeoutError("no answer")

    async def committed(
        self, partitions: Iterable[TopicPartition]
    ) -> dict[TopicPartition, OffsetAndMetadata | None]:
        return {each: self.topic.committed.get(each) for each in partitions}

    async def first_offsets(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        return {each: self.topic.starts[each] for each in partitions}

    async def end_offsets(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        return {each: self.topic.ends[each] for each in partitions}

    async def offsets_for_time(
        self, partitions: Iterable[TopicPartition], at_ms: int
    ) -> dict[TopicPartition, int | None]:
        return {
            each: next(
                (at for at, made in sorted(self.topic.records[each].items()) if made.timestamp >= at_ms), None
            )
            for each in partitions
        }

    def poll(self, count: int) -> tuple[dict[TopicPartition, list[Any]], dict[TopicPartition, int]]:
        """Return records, and the positions at which none can be read."""
        found: dict[TopicPartition, list[Any]] = {}
        failed: dict[TopicPartition, int] = {}
        for each in sorted(self.partitions - self.paused):
            position = self.next[each]
            if position < self.topic.starts[each] or self.topic.is_corrupt(each, position):
                failed[each] = position
                continue
            records = self.topic.records[each]
            while len(found.setdefault(each, [])) < count and position < self.topic.ends[each]:
                if self.topic.is_corrupt(each, position):
                    break
                if position in records:
                    found[each].append(records[position])
                position += 1
            self.next[each] = position
        return found, failed


class MoodyDestination:
    """Answers as its mood for the route is: each answer of the contract, and none. It never accepts a bad row."""

    address = "moody.example"
    config_hint = "Check its mood."
    MOODS = (
        "good",
        "busy",
        "throttled",
        "refusing",
        "split",
        "partial",
        "silent",
        "lost",
        "raising",
        "mixed",
    )

    def __init__(self, topic: Topic) -> None:
        self.limits = Limits(
            replace(BODY_FORMAT, max_rows=topic.chance.choice((3, 10, 100))),
            request_timeout_seconds=0.05,
            max_uncommitted=topic.chance.choice((5, 50, 20_000)),
            in_flight_bodies=topic.chance.choice((None, 1, 3)),
            in_flight_bytes=topic.chance.choice((10_000, 16_000_000)),
            routes={} if len(topic.organizations) == 1 else {"org0": "x", "org1": "y", "org2": "x"},
        )
        self.topic = topic
        self.moods: dict[str | None, str] = {}
        """By route; good where none is named."""
        self.requests = 0

    def change_mood(self) -> None:
        """Change the mood for one route, or for all."""
        routes = sorted({*self.limits.routes.values(), ""})
        changed = self.topic.chance.choice(
            (*([each or None] for each in routes), [each or None for each in routes])
        )
        self.moods |= dict.fromkeys(changed, self.topic.chance.choice(self.MOODS))

    def encode(self, events: pl.DataFrame) -> EncodedRows:
        return sentinel.encode_rows(events)

    def body(self, rows: EncodedRows) -> bytes:
        return BODY_FORMAT.framed(rows)

    async def probe(self) -> Outcome:
        return Sent()

    async def send(self, body: Body) -> Outcome:
        self.requests += 1
        mood = self.moods.get(body.route, "good")
        mood = self.topic.chance.choice(self.MOODS[:-1]) if mood == "mixed" else mood
        rows = [row["EventId"] for row in orjson.loads(body.content)]
        bad = [index for index, each in enumerate(rows) if each % BAD_EVERY == 0]
        await asyncio.sleep(self.topic.chance.choice((0, 0, 0.002)))
        match mood:
            case "busy":
                return Retry("busy", 503)
            case "throttled":
                return Retry("throttled", 429, after=0.01)
            case "refusing":
                return Paused("refused", 403)
            case "split" if body.rows > 2:
                return Split("too large", 413)
            case "raising":
                raise LookupError("made up")
            case "silent":
                await asyncio.sleep(1)
            case "partial":
                return self._partial(rows, bad)
        if bad:
            return Reject("a bad row", 400)
        self._accept(rows)
        if mood == "lost":
            await asyncio.sleep(1)
        return Sent()

    def _partial(self, rows: Sequence[int], bad: Collection[int]) -> Outcome:
        again = frozenset(
            index for index in range(len(rows)) if index not in bad and self.topic.chance.random() < 0.3
        )
        self._accept([each for index, each in enumerate(rows) if index not in bad and index not in again])
        return Partial(dict.fromkeys(bad, "a bad row"), again)

    def _accept(self, rows: Iterable[int]) -> None:
        self.topic.done |= {self.topic.places[each] for each in rows}


class DeadLetters:
    """The dead-letter topic, whose writes may fail. Nothing good may get there."""

    def __init__(self, topic: Topic) -> None:
        self.topic = topic
        self.failing = False

    async def put(self, record: Record, reason: str, status: int | None = None) -> None:  # noqa: ARG002
        await asyncio.sleep(0)
        if self.failing:
            raise KafkaError("away")
        place = (TopicPartition(record.topic, record.partition), record.offset)
        number = next(each for each, at in self.topic.places.items() if at == place)
        assert place in self.topic.garbage or number % BAD_EVERY == 0, f"{place} is good: {reason}"
        self.topic.done.add(place)
