"""The source of each content of a job, with the archive that the job names."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import partial

from consumer.decoding.schema_lookup import SchemaLookup
from consumer.destinations.contract import DestinationConfig
from consumer.replay.archive_opening import delivered_by, open_archive
from consumer.replay.range_reader import RangeReader
from consumer.replay.redrive import RedriveSource
from consumer.replay.refill_source import RefillSource
from consumer.replay.source import ArchiveReader, ReplaySource
from relay.errors import RelayError
from relay.kafka.connection import Connection
from relay.kafka.producer import RecordWriter
from relay.kafka.topics import Topics
from relay.replays.job import ReplayJob
from relay.replays.store import ReplayStore
from relay.timestamps import DAY_MS

_LAST_DAY = 10**7


class NotRunnableHereError(RelayError):
    """This process cannot run the job, and another one, or a later release, can. The text says what is missing."""


class SourceOpener:
    """Opens the source of a job."""

    def __init__(
        self,
        connection: Connection,
        topics: Topics,
        archives: Mapping[str, DestinationConfig],
        where: str | None,
        writer: RecordWriter,
        schemas: SchemaLookup,
    ) -> None:
        """`archives`: destinations whose objects may be read. `where`: the filter of the destination that gets the events.

        `writer`: for the marks of dead letters that were delivered.
        """
        self._connection = connection
        self._topics = topics
        self._archives = archives
        self._where = where
        self._writer = writer
        self._schemas = schemas

    @asynccontextmanager
    async def open(self, job: ReplayJob) -> AsyncIterator[ReplaySource]:
        """Open the source of a job. Raises NotRunnableHereError, or a RelayError for a later attempt."""
        match job:
            case ReplayJob(content="events", archive=None):
                yield RangeReader(self._connection, job.ranges)
            case ReplayJob(content="events", archive=str(name)):
                async with self._open_archive(job, name) as archive:
                    yield RangeReader(self._connection, job.ranges, archive)
            case ReplayJob(content="refill"):
                yield RefillSource(self._connection, job, partial(self._reports, job.id))
            case ReplayJob(content="dead-letters"):
                yield RedriveSource(self._connection, job, self._topics, self._writer, self._schemas)
            case _:
                raise NotRunnableHereError(
                    f"This release of the consumer cannot run a replay with the content {job.content}. Upgrade it, or cancel the"
                    " replay."
                )

    async def _reports(self, replay_id: str) -> Mapping[str, bytes]:
        """Return the reports of the producers on a refill, by organization."""
        found = (await ReplayStore(self._connection, self._topics.replays).read()).jobs.get(replay_id)
        return {} if found is None else found.producers

    @asynccontextmanager
    async def _open_archive(self, job: ReplayJob, name: str) -> AsyncIterator[ArchiveReader]:
        config = self._archives.get(name)
        if config is None:
            raise NotRunnableHereError(
                f"The consumer that has the replay does not know the archive {name}. Add destinations.{name} to its settings, with the"
                " rights to read it."
            )
        conditions = [each for each in (job.where, self._where) if each is not None]
        delivered = delivered_by(self._connection, name)
        async with open_archive(name, config, delivered, conditions=conditions, days=_days(job)) as archive:
            yield archive


def _days(job: ReplayJob) -> tuple[int, int] | None:
    """Return the days of collection that a job may need, [first, stop) since 1970; None: all.

    An event is collected at its creation or later; the clock of the source may be ahead by less than a day.
    """
    first = 0 if job.from_ms is None else job.from_ms // DAY_MS - (job.by == "created")
    stop = _LAST_DAY if job.to_ms is None or job.by == "created" else job.to_ms // DAY_MS + 1
    return (first, stop) if first or stop != _LAST_DAY else None
