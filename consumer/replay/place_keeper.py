"""The places and the counts of one job while this process owns it: one record holds both."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from consumer.offsets.delivered import DeliveryProgress
from consumer.offsets.tracker import OffsetTracker, TrackedRecords
from consumer.replay.source import Chunk, ReplaySource
from consumer.replay.tally import Ending, ReplayCounts, ReplayTally
from relay.kafka import Record, TopicPartition, partition_text
from relay.replays.job import ReplayJob, ReplayPlace, ReplayProgress, State
from relay.timestamps import now_ms

LOST_TEXT = "Kafka no longer had "
"""The beginning of the sentence about lost offsets: the next owner carries it on."""

WriteProgress = Callable[[ReplayProgress], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class ProgressLog:
    """Where the progress of a job is written, and by whom."""

    write: WriteProgress
    """Raises an error of KAFKA_FAILURES when the record may be on the topic or not."""
    wait_for_membership: Callable[[], Awaitable[None]]
    """Returns while this process certainly owns the job."""
    owner: str
    now_ms: Callable[[], int] = now_ms


class PlaceKeeper:
    """Follows each record of a job from its reading to its end.

    1. A record of progress has places and the counts of exactly these places, so that no death makes a count wrong. The places
       hold every range that was delivered out of order: unlike those of a consumer group they have no limit.
    2. It is written after the source has confirmed what the places cover, and only while this process is the owner.
    """

    def __init__(
        self, job: ReplayJob, before: ReplayProgress | None, source: ReplaySource, log: ProgressLog
    ) -> None:
        """`before`: the last progress of any owner; None: there was none."""
        now = log.now_ms()
        self.progress = before or ReplayProgress(job.id, "running", now, now, log.owner, now)
        self._source = source
        self._log = log
        self._tracker = OffsetTracker()
        self._tally = ReplayTally(ReplayCounts.of(self.progress))
        self._ended: list[tuple[Ending, Sequence[Record]]] = []
        """What the source has not confirmed."""
        self._covered_count = self._tally.ended_count
        self._writing = asyncio.Lock()
        self._lost_text = lost_text(self.progress)
        self.positions: dict[TopicPartition, int] = {}
        """Where reading goes on."""
        places = {each.tp: each for each in self.progress.places}
        for each in job.ranges:
            found = places.get(each.tp)
            start = (
                DeliveryProgress.starting_at(each.start)
                if found is None
                else DeliveryProgress.from_offset_and_metadata(found.offset, found.metadata)
            )
            self._tracker.start(each.tp, start)
            self.positions[each.tp] = start.offset

    @property
    def has_sent(self) -> bool:
        """Whether the destination has accepted an event of the job, of this owner or of one before."""
        return self._tally.sent > 0

    @property
    def ended_count(self) -> int:
        """How many records have ended, of this owner or of one before."""
        return self._tally.ended_count

    @property
    def uncovered(self) -> int:
        """How many records ended that the last record of progress does not cover: a death would deliver so many again."""
        return self._tally.ended_count - self._covered_count

    @property
    def range_count(self) -> int:
        """How many ranges are delivered behind an undelivered record: the places hold each of them."""
        return sum(map(len, self._tracker.delivered_counts().runs))

    def lost_count(self, partition: TopicPartition, start: int, stop: int) -> int:
        """Return how many of the offsets [start, stop), which nobody has any more, were not done before."""
        return self._tracker.skip(partition, start, stop)

    def mark(self) -> tuple[int, ...]:
        """Return a value that changes whenever a place does."""
        return (self._tracker.delivered_count(), *self.positions.values())

    def track(self, chunk: Chunk) -> Sequence[tuple[TrackedRecords, Mapping[int, str]]]:
        """Take over a chunk that was read. Return its records that are not delivered, with those of them that are left out."""
        for start, stop in chunk.lost:
            count = self.lost_count(chunk.partition, start, stop)
            self._tally.lost(chunk.partition, stop, count)
            if count:
                self._note_lost(chunk.partition, start, stop, corrupt=(start, stop) in chunk.corrupt)
        at = {record.offset: index for index, record in enumerate(chunk.records)} if chunk.left_out else {}
        pieces = []
        for sequence, records in self._tracker.track(chunk.partition, chunk.records):
            first = at.get(records[0].offset, 0)
            left_out = {
                index - first: reason
                for index, reason in chunk.left_out.items()
                if first <= index < first + len(records)
            }
            pieces.append((TrackedRecords(records, (sequence,)), left_out))
        self.positions[chunk.partition] = chunk.next_offset
        return pieces

    def ended(self, tracked: TrackedRecords, ending: Ending, reason: str = "") -> None:
        """Note how these records ended."""
        self._tracker.mark_delivered(tracked)
        self._tally.ended(len(tracked), ending, reason)
        if ending != "skipped":
            self._ended.append((ending, tracked.records))

    async def write(self, state: State, reason: str | None) -> None:
        """Write what is so now. Raises an error of KAFKA_FAILURES; then nothing is forgotten."""
        async with self._writing:
            places = self._tracker.progress(self.positions)
            counts, covered_count = self._tally.counts(places), self._tally.ended_count
            ended, self._ended = self._ended, []
            try:
                await self._confirm(ended)
            except BaseException:
                self._ended = [*ended, *self._ended]
                raise
            await self._log.wait_for_membership()
            reason = " ".join(filter(None, (reason, self._lost_text))) or None
            progress = _with_places(self.progress, places, counts, self._log.owner).in_state(
                state, reason, self._log.now_ms()
            )
            await self._log.write(progress)
            self.progress, self._covered_count = progress, covered_count

    async def _confirm(self, ended: Sequence[tuple[Ending, Sequence[Record]]]) -> None:
        delivered = [record for ending, records in ended if ending == "sent" for record in records]
        dead_lettered = [
            record for ending, records in ended if ending == "dead_lettered" for record in records
        ]
        if ended:
            await self._source.confirm(delivered, dead_lettered)

    def _note_lost(self, tp: TopicPartition, start: int, stop: int, *, corrupt: bool) -> None:
        """Name the range; of many, the last."""
        more = ", and others before" if self._lost_text else ""
        copy = "a readable copy of " if corrupt else ""
        self._lost_text = (
            f"{LOST_TEXT}{copy}offsets {start} to {stop - 1} of {partition_text(tp)} when the replay came there{more}, and no archive has"
            " them."
        )

    def is_complete(self, job: ReplayJob) -> bool:
        """Return whether every range is delivered to its end."""
        places = self._tracker.progress(self.positions)
        return all(places[each.tp].offset >= each.end for each in job.ranges)


def _with_places(
    before: ReplayProgress,
    places: Mapping[TopicPartition, DeliveryProgress],
    counts: ReplayCounts,
    owner: str,
) -> ReplayProgress:
    written = {tp: each.to_offset_and_metadata() for tp, each in places.items()}
    return replace(
        before,
        owner=owner,
        read=counts.read,
        sent=counts.sent,
        skipped=counts.skipped,
        dead_lettered=counts.dead_lettered,
        lost=counts.lost,
        skips=counts.skips,
        places=tuple(
            ReplayPlace(tp.topic, tp.partition, each.offset, each.metadata) for tp, each in written.items()
        ),
    )


def lost_text(progress: ReplayProgress) -> str | None:
    """Return the sentence of a progress about lost offsets; None: none is lost."""
    start = (progress.reason or "").find(LOST_TEXT)
    return (progress.reason or "")[start:] if progress.lost and start >= 0 else None
