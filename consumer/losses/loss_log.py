"""The lost ranges of one destination, as its consumers note and report them."""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Protocol

import structlog

from consumer.losses.lost_range import LostRange, losses_text, merged
from consumer.losses.store import StoredLosses
from consumer.timing import LossTiming
from relay.errors import RelayError
from relay.kafka import KAFKA_FAILURES, TopicPartition
from relay.kafka.producer import TopicWriteError
from relay.timestamps import now_ms

log = structlog.get_logger(__name__)


class LossRecords(Protocol):
    """Where the ranges are: `consumer.losses.store.LossStore`."""

    async def read(self, destination: str) -> StoredLosses: ...

    async def write(self, lost: LostRange) -> None: ...

    async def delete(self, lost: LostRange) -> None: ...


class LossLog:
    """Notes lost ranges, and reports those of all consumers of the destination.

    1. A range is written before the offset after it is committed (`note`). So a kill leaves the old offset, from which the
       next owner finds the range again, with the same key.
    2. Its end is dated later, by the first record that arrives after it.
    3. A record that Kafka refuses for good holds up no event: this process goes on, and reports the range while it runs.
    """

    def __init__(
        self,
        destination: str,
        store: LossRecords,
        archives: Sequence[str] = (),
        timing: LossTiming | None = None,
        clock_ms: Callable[[], int] = now_ms,
    ) -> None:
        """`archives`: the destinations of these settings that keep events in an object store."""
        self._destination = destination
        self._store = store
        self._archives = [each for each in archives if each != destination]
        self._timing = timing or LossTiming()
        self._clock_ms = clock_ms
        self._ranges: dict[str, LostRange] = {}
        self._refused: dict[str, LostRange] = {}
        self._undated: dict[TopicPartition, str] = {}
        self._unwritten: dict[str, LostRange] = {}
        self._dated = asyncio.Event()

    @property
    def ranges(self) -> Sequence[LostRange]:
        return list({**self._ranges, **self._refused, **self._unwritten}.values())

    @property
    def recorded(self) -> Sequence[LostRange]:
        """Those that are on the topic: only they can be taken off."""
        return list(self._ranges.values())

    @property
    def text(self) -> str | None:
        """What the status says about lost ranges; None: there are none, as far as known."""
        return losses_text(self.ranges, self._archives, self._clock_ms())

    async def note(
        self,
        partition: TopicPartition,
        deleted_range: tuple[int, int],
        lost: int,
        collected_from: int | None,
    ) -> None:
        """Record that Kafka deleted the offsets [first, stop) of `deleted_range`, `lost` of them undelivered.

        Raises KafkaError where the record is not confirmed and a later attempt may be: the caller commits nothing then.
        """
        at, topic, number = self._clock_ms(), partition.topic, partition.partition
        found = LostRange(self._destination, topic, number, *deleted_range, lost, collected_from, None, at)
        entry = merged(self.ranges, found)
        try:
            await self._store.write(entry)
            self._ranges[entry.key] = entry
        except TopicWriteError as error:
            log.error(
                "A lost range was not recorded; the status shows it until this process ends.",
                destination=self._destination,
                lost=entry.name,
                reason=str(error),
            )
            self._refused[entry.key] = entry
        if entry.collected_until is None:
            self._undated[partition] = entry.key

    async def delete(self, lost: LostRange) -> None:
        """Take a range off the list, unless it has become longer. Raises KafkaError or TopicWriteError, as the store does."""
        known = self._ranges.get(lost.key)
        if known is not None and (known.stop, known.at) == (lost.stop, lost.at):
            await self._store.delete(lost)
            self._ranges.pop(lost.key, None)
            self._unwritten.pop(lost.key, None)  # its date would write it again

    def record_arrived(self, partition: TopicPartition, timestamp_ms: int) -> None:
        """Date the last range of the partition: its events were collected before this record."""
        if (key := self._undated.pop(partition, None)) is None:
            return
        entry = self._ranges.get(key)
        if entry is not None:
            self._unwritten[key] = replace(entry, collected_until=timestamp_ms)
            self._dated.set()
        elif key in self._refused:
            self._refused[key] = replace(self._refused[key], collected_until=timestamp_ms)

    async def run(self) -> None:
        """Write the dates, and follow what other consumers and operators write, until cancelled."""
        while True:
            self._dated.clear()
            with contextlib.suppress(*KAFKA_FAILURES, RelayError):
                await self.refresh()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._timing.refresh_seconds):
                    await self._dated.wait()

    async def refresh(self) -> None:
        """Write the dates of this process, and read all ranges. Raises RelayError, or an error of KAFKA_FAILURES."""
        for key, entry in list(self._unwritten.items()):
            await self._store.write(entry)
            self._ranges[key] = entry
            if self._unwritten.get(key) is entry:
                del self._unwritten[key]
        before = dict(self._ranges)
        stored = await self._store.read(self._destination)
        # Noted during the read, which may have ended before them.
        noted = {key: entry for key, entry in self._ranges.items() if before.get(key) is not entry}
        self._ranges = {**stored.ranges, **noted}
