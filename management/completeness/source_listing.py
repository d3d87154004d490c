"""Days as the audit log lists them now, without the checkpoint's memory of what was published."""

import asyncio
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import aclosing
from dataclasses import dataclass, field

import structlog

from consumer.losses.lost_range import SOURCE_DAYS
from management.completeness.canonical import EventKey
from management.completeness.progress import RecordedProgress
from management.completeness.proof import SourceDay
from management.completeness.seen_records import SeenRecords
from producer.events import Event, UnreadableRecord
from producer.sources.contract import Source
from producer.sources.errors import RetryAction, SourceError
from producer.sources.purpose import Purpose
from producer.state.intervals import TimeRange
from producer.state.ledger import record_hash
from relay.errors import RelayError, describe
from relay.timestamps import DAY_MS, day_of, day_start

log = structlog.get_logger(__name__)

LISTING_SECONDS = 300.0
"""For one listing. The source waits out the limits of its site within it."""
RUN_EVENTS = 900
"""Events of days in a row that are listed together: Jira gives a thousand in a page."""
TOO_OLD = f"It keeps records for {SOURCE_DAYS} days, and this day is older."

UNPROVEN = "The audit log may hold more of one millisecond than it shows."


@dataclass(frozen=True, slots=True)
class ListingFacts:
    """What is known of an organization's days before they are listed.

    `known`: by day, the ids that Kafka has. An event that the relay is not to have counts as uncollected, unless it has it.
    `dead_letters`: hashes of the records that are dead letters of a producer, as `record_hash` makes them.
    """

    progress: RecordedProgress
    known: Mapping[str, AbstractSet[int]] = field(default_factory=dict)
    dead_letters: AbstractSet[bytes] = frozenset()
    seen: SeenRecords = field(default_factory=SeenRecords)


async def list_days(
    source: Source, days: Sequence[str], facts: ListingFacts, now_ms: int, seconds: float = LISTING_SECONDS
) -> dict[str, SourceDay]:
    """Return what the audit log lists for each day. A failure is in the result. `seconds`: the bound of one listing.

    Days in a row with few events are listed together, each alone where that fails because of one of them. After a refused key,
    a limit, or a day that takes too long nothing more is asked, as each attempt would count.
    """
    found, last = dict[str, SourceDay](), SourceDay()

    async def list_run(run: Sequence[str]) -> dict[str, SourceDay]:
        nonlocal last
        if last.is_general:
            return dict.fromkeys(run, last)
        listed = await _list_run(source, run, facts, now_ms, seconds)
        last = listed[run[-1]]
        return listed

    for run in runs_of(days, facts.known, now_ms):
        listed = await list_run(run)
        if len(run) > 1 and any(map(_may_be_of_one_day, listed.values())):
            for day in run:
                listed |= await list_run([day])
        found |= listed
    return found


def _may_be_of_one_day(listed: SourceDay) -> bool:
    """Return whether a run shows what may concern one of its days alone. An unreadable record has no day that can be read."""
    suspect = listed.failure is not None or listed.unreadable or listed.dead_letters
    return bool(suspect) and not listed.is_general


def runs_of(days: Iterable[str], known: Mapping[str, AbstractSet[int]], now_ms: int) -> Iterator[list[str]]:
    """Yield the days in runs without a gap whose known events fit one page; one that the source does not keep is alone. Pure."""
    run, size, kept_from = list[str](), 0, now_ms - SOURCE_DAYS * DAY_MS
    for day in sorted(days):
        count = len(known.get(day, ()))
        follows = run and day_start(day) == day_start(run[-1]) + DAY_MS and day_start(run[0]) >= kept_from
        if run and not (follows and size + count <= RUN_EVENTS):
            yield run
            run, size = [], 0
        run, size = [*run, day], size + count
    if run:
        yield run


async def _list_run(
    source: Source, days: Sequence[str], facts: ListingFacts, now_ms: int, seconds: float
) -> dict[str, SourceDay]:
    """List days in a row by one window. A failure is that of each."""
    window = TimeRange(day_start(days[0]), day_start(days[-1]) + DAY_MS)
    if window.start < now_ms - SOURCE_DAYS * DAY_MS:
        return dict.fromkeys(days, SourceDay(failure=TOO_OLD))
    try:
        async with asyncio.timeout(seconds):
            checkpoint = facts.progress.checkpoint
            await source.bind_identity(None if checkpoint is None else checkpoint.cloud_id)
            return await _list(source, window, {day: _Listing(source, facts, day) for day in days})
    except SourceError as error:
        failed = SourceDay(failure=str(error), is_general=error.action is not RetryAction.RETRY)
    except RelayError as error:
        failed = SourceDay(failure=describe(error), is_general=True)
    except TimeoutError:
        # A run may hold more than Kafka knows of: each of its days gets its own time.
        failed = SourceDay(
            failure=f"It was not listed to its end within {seconds:g} s; its site may be limiting requests.",
            is_general=len(days) == 1,
        )
    except Exception:
        log.exception("A day was not listed because of a defect in the relay; other organizations go on.")
        failed = SourceDay(failure="The relay has a defect; its log has the details.", is_general=True)
    return dict.fromkeys(days, failed)


async def _list(
    source: Source, window: TimeRange, listings: Mapping[str, "_Listing"]
) -> dict[str, SourceDay]:
    records = 0
    async with aclosing(source.read(window, Purpose.REREAD)) as results:
        async for result in results:
            records += result.record_count
            failure = None if result.proven else UNPROVEN
            failure = failure if result.failure is None else result.failure.message
            for listing in (each for day, each in listings.items() if _overlaps(result.window, day)):
                listing.failure = failure or listing.failure
                for record in result.unreadable:
                    listing.add_unreadable(record)
            for event in result.events:
                listings[day_of(event["created"])].add_event(event)
    if not records:
        await source.verify_empty(window, Purpose.REREAD)
    return {day: each.found for day, each in listings.items()}


def _overlaps(window: TimeRange, day: str) -> bool:
    return window.start < day_start(day) + DAY_MS and day_start(day) < window.end


class _Listing:
    """Counts what the audit log lists for a day, by what the relay is to have of it."""

    def __init__(self, source: Source, facts: ListingFacts, day: str) -> None:
        self._source, self._progress, self._seen = source, facts.progress, facts.seen
        self._known, self._dead_letters = facts.known.get(day, frozenset()), facts.dead_letters
        self._events: list[EventKey] = []
        self._uncollected = self._buried = self._unreadable = self._awaited = 0
        self.failure: str | None = None
        """Why a part of the day was not read to its end."""

    @property
    def found(self) -> SourceDay:
        return SourceDay(
            self._events, self._uncollected, self._buried, self._unreadable, self.failure, self._awaited
        )

    def add_event(self, event: Event) -> None:
        if event["id"] in self._known:
            self._events.append(self._seen.key_of(event))
        elif self._progress.is_awaited(event["created"]):
            self._awaited += 1
        elif not self._progress.is_collected(event["created"]):
            self._uncollected += 1
        elif record_hash(UnreadableRecord("", self._source.restore(event))) in self._dead_letters:
            self._buried += 1
        else:
            self._events.append(self._seen.key_of(event))

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
