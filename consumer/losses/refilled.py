"""Takes the lost ranges off the list that a replay has brought back, with an entry in the history of changes."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from functools import partial

import structlog

from consumer.losses.loss_log import LossLog
from consumer.losses.lost_range import LostRange
from consumer.timing import LossTiming
from relay.avro.codec import BadBody, NotAvro, UnknownSchema
from relay.condition_log import ConditionLog
from relay.destination_changes import Change, record_change
from relay.errors import RelayError
from relay.kafka import KAFKA_FAILURES
from relay.kafka.connection import Connection
from relay.kafka.producer import TopicWriteError
from relay.kafka.topics import Topics
from relay.replays.job import KnownReplay, ReplayLost
from relay.replays.refill import RefillProgress
from relay.replays.store import ReplayStore
from relay.timestamps import now_ms

_UNREADABLE = (NotAvro, BadBody, UnknownSchema)

log = structlog.get_logger(__name__)

ReadReplays = Callable[[], Awaitable[Mapping[str, KnownReplay]]]
"""Returns the replays by id. Raises RelayError, or an error of KAFKA_FAILURES."""
RecordChange = Callable[[Change], Awaitable[None]]
"""Writes a change to the history. Raises TopicWriteError."""


class RefilledRanges:
    """Looks for lost ranges that a replay has brought back, in the process that owns the replays of the destination.

    The change is recorded before the range is deleted: a kill between the two records it twice, and none takes a range off
    unrecorded. A range that cannot be taken off stays on the list, where `destinations dismiss` deletes it.
    """

    def __init__(
        self,
        ranges: Callable[[], Collection[LostRange]],
        delete: Callable[[LostRange], Awaitable[None]],
        read_replays: ReadReplays,
        record_change: RecordChange,
        owns_replays: Callable[[], bool],
        timing: LossTiming | None = None,
        clock_ms: Callable[[], int] = now_ms,
    ) -> None:
        """`ranges`: the lost ranges on the topic, as far as this process knows. `delete` fails as `LossStore.delete` does."""
        self._ranges = ranges
        self._delete = delete
        self._read_replays = read_replays
        self._record_change = record_change
        self._owns_replays = owns_replays
        self._timing = timing or LossTiming()
        self._clock_ms = clock_ms
        self._conditions = ConditionLog(log)

    async def run(self) -> None:
        """Look every few seconds, until cancelled."""
        while True:
            await asyncio.sleep(self._timing.refilled_seconds)
            with suppress(*KAFKA_FAILURES, RelayError):
                await self.look()

    async def look(self) -> None:
        """Take off what was brought back. Raises RelayError, or an error of KAFKA_FAILURES, for a later attempt."""
        if not self._owns_replays() or not self._ranges():
            return
        replays = list((await self._read_replays()).values())
        for lost in list(self._ranges()):
            replay = brought_back(lost, replays)
            if replay is not None and self._owns_replays():
                await self._take_off(lost, replay)

    async def _take_off(self, lost: LostRange, replay: KnownReplay) -> None:
        job = replay.job
        sent = 0 if replay.progress is None else replay.progress.sent
        change = Change(
            lost.destination,
            job.requested_by,
            self._clock_ms(),
            "loss brought back",
            asdict(lost),
            {
                "replay": job.id,
                "sent": sent,
                "archive": job.archive,
                "organizations": list(job.organizations),
            },
        )
        fields = {"destination": lost.destination, "lost": lost.name, "replay": job.id}
        try:
            await self._record_change(change)
            await self._delete(lost)
        except TopicWriteError as error:
            self._conditions.failed(
                lost.key,
                type(error).__name__,
                "A range was brought back, and stays listed. Dismiss it.",
                fields | {"reason": str(error)},
            )
            return
        self._conditions.ended(lost.key, "A lost range is taken off; it could not be", fields)
        log.info("A replay brought a lost range back.", **fields)


def open_refilled_ranges(
    losses: LossLog,
    owns_replays: Callable[[], bool],
    connection: Connection,
    topics: Topics,
    timing: LossTiming,
) -> RefilledRanges:
    """Return what takes the ranges of `losses` off, with the replays and the changes of a cluster."""
    store = ReplayStore(connection, topics.replays)

    async def read_replays() -> Mapping[str, KnownReplay]:
        return (await store.read()).jobs

    record = partial(record_change, connection)
    return RefilledRanges(lambda: losses.recorded, losses.delete, read_replays, record, owns_replays, timing)


def brought_back(lost: LostRange, replays: Sequence[KnownReplay]) -> KnownReplay | None:
    """Return the replay that has brought all of a lost range back. None: none has."""
    return next((each for each in replays if _is_of(each, lost) and _is_whole(each)), None)


def _is_of(replay: KnownReplay, lost: LostRange) -> bool:
    """Return whether a replay is for a lost range as it is now: one that has become longer since is another one."""
    job = replay.job
    if job.lost is None or job.destination != lost.destination:
        return False
    known = ReplayLost(lost.topic, lost.partition, lost.start, job.lost.stop, lost.at)
    return job.lost == known and lost.stop <= job.lost.stop


def _is_whole(replay: KnownReplay) -> bool:
    """Return whether a replay has brought back all events. Dead letters are named on a list of their own."""
    job, progress = replay.job, replay.progress
    if progress is None or progress.state != "done" or progress.lost or job.where is not None:
        return False
    return job.content != "refill" or all(_is_read(replay, name) for name in job.organizations)


def _is_read(replay: KnownReplay, organization: str) -> bool:
    """Return whether the producers have read all of a window, as far as this release can read their report."""
    value = replay.producers.get(organization)
    try:
        report = None if value is None else RefillProgress.from_value(value)
    except _UNREADABLE:
        return False
    return report is not None and report.state == "done" and not report.unread
