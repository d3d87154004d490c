"""A day as the audit log lists it now, without the checkpoint's memory of what was published."""

import asyncio
from collections.abc import Collection
from collections.abc import Set as AbstractSet
from contextlib import aclosing
from dataclasses import replace

import structlog

from consumer.losses.lost_range import SOURCE_DAYS
from management.completeness.canonical import EventKey, event_key
from management.completeness.progress import RecordedProgress
from management.completeness.proof import SourceDay
from producer.events import Event, UnreadableRecord
from producer.sources.contract import Source
from producer.sources.errors import RetryAction, SourceError
from producer.sources.purpose import Purpose
from producer.state.intervals import TimeRange
from producer.state.ledger import record_hash
from relay.errors import RelayError, describe
from relay.timestamps import DAY_MS, day_start

log = structlog.get_logger(__name__)

LISTING_SECONDS = 300.0
"""For one day. The source waits out the limits of its site within it."""


async def list_day(
    source: Source,
    day: str,
    progress: RecordedProgress,
    known: AbstractSet[int],
    dead_letters: AbstractSet[bytes],
    now_ms: int,
    seconds: float = LISTING_SECONDS,
) -> SourceDay:
    """Return what the audit log lists for a day. A failure is in the result.

    `known`: ids that Kafka has. An event that the relay is not to have counts as uncollected, unless it has it.
    `dead_letters`: hashes of the records that are dead letters of a producer, as `record_hash` makes them.
    """
    window = TimeRange(day_start(day), day_start(day) + DAY_MS)
    if window.start < now_ms - SOURCE_DAYS * DAY_MS:
        return SourceDay(failure=f"It keeps records for {SOURCE_DAYS} days, and this day is older.")
    try:
        async with asyncio.timeout(seconds):
            bound_to = None if progress.checkpoint is None else progress.checkpoint.cloud_id
            await source.bind_identity(bound_to)
            return await _list(source, window, _Listing(source, progress, known, dead_letters))
    except SourceError as error:
        return SourceDay(failure=str(error), is_general=error.action is not RetryAction.RETRY)
    except RelayError as error:
        return SourceDay(failure=describe(error), is_general=True)
    except TimeoutError:
        return SourceDay(
            failure=f"It was not listed to its end within {seconds:g} s; its site may be limiting requests.",
            is_general=True,
        )
    except Exception:
        log.exception("A day was not listed because of a defect in the relay; other organizations go on.")
        return SourceDay(failure="The relay has a defect; its log has the details.", is_general=True)


async def _list(source: Source, window: TimeRange, listing: "_Listing") -> SourceDay:
    records, failure = 0, None
    async with aclosing(source.read(window, Purpose.REREAD)) as results:
        async for result in results:
            records += result.record_count
            if result.failure is not None:
                failure = result.failure.message
            elif not result.proven:
                failure = "The audit log may hold more of one millisecond than it shows."
            for event in result.events:
                listing.add_event(event)
            for record in result.unreadable:
                listing.add_unreadable(record)
    if not records:
        await source.verify_empty(window, Purpose.REREAD)
    return replace(listing.found, failure=failure)


class _Listing:
    """Counts what the audit log lists, by what the relay is to have of it."""

    def __init__(
        self,
        source: Source,
        progress: RecordedProgress,
        known: AbstractSet[int],
        dead_letters: AbstractSet[bytes],
    ) -> None:
        self._source, self._progress = source, progress
        self._known, self._dead_letters = known, dead_letters
        self._events: list[EventKey] = []
        self._uncollected = self._buried = self._unreadable = self._awaited = 0

    @property
    def found(self) -> SourceDay:
        return SourceDay(
            self._events, self._uncollected, self._buried, self._unreadable, awaited=self._awaited
        )

    def add_event(self, event: Event) -> None:
        if event["id"] in self._known:
            self._events.append(event_key(event))
        elif self._progress.is_awaited(event["created"]):
            self._awaited += 1
        elif not self._progress.is_collected(event["created"]):
            self._uncollected += 1
        elif record_hash(UnreadableRecord("", self._source.restore(event))) in self._dead_letters:
            self._buried += 1
        else:
            self._events.append(event_key(event))

    def add_unreadable(self, record: UnreadableRecord) -> None:
        if record_hash(record) in self._dead_letters:
            self._buried += 1
        else:
            self._unreadable += 1


async def read_records(source: Source, day: str, ids: Collection[int]) -> dict[int, bytes]:
    """Return the raw JSON of the records of a day with these ids. Raises RelayError if the audit log fails."""
    window, wanted, found = TimeRange(day_start(day), day_start(day) + DAY_MS), {*ids}, dict[int, bytes]()
    try:
        async with asyncio.timeout(LISTING_SECONDS), aclosing(source.read(window, Purpose.REREAD)) as results:
            async for result in results:
                for event in result.events:
                    if event["id"] in wanted:
                        found[event["id"]] = source.restore(event)
    except SourceError as error:
        raise RelayError(str(error)) from error
    except TimeoutError as error:
        raise RelayError(
            f"The audit log was not listed to its end within {LISTING_SECONDS:g} s; its site may be limiting requests."
        ) from error
    return found
