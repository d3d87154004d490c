"""Jobs and their progress on the topic `….replays`."""

from dataclasses import asdict, replace
from typing import Any, get_args

from relay.avro.codec import BadBody, InternalCodec, NotAvro, UnknownSchema
from relay.errors import RelayError, describe
from relay.kafka import KafkaError, Record
from relay.kafka.compacted_topics import read_table
from relay.kafka.connection import Connection
from relay.kafka.log_reader import CorruptBatchError, NoTopicError
from relay.kafka.producer import RecordWriter
from relay.replays.job import (
    KnownReplay,
    ReplayJob,
    ReplayLost,
    ReplayPlace,
    ReplayProgress,
    ReplayRange,
    ReplaySkip,
    State,
    Wish,
)
from relay.replays.unreadable import progress_of_reports

_UNREADABLE = (NotAvro, BadBody, UnknownSchema)
_PROGRESS, _PRODUCER = "progress", "producer."
_JOB_CODEC, _PROGRESS_CODEC = InternalCodec("replay"), InternalCodec("replay_progress")


class ReplaysUnavailableError(RelayError):
    """The topic of replays is missing, hidden or cannot be read, so replays wait. The text says what to do."""


def progress_key(replay_id: str) -> str:
    """Return the key of the progress of a replay; its job has the id itself as key."""
    return f"{replay_id}.{_PROGRESS}"


def producer_key(replay_id: str, organization: str) -> str:
    """Return the key of the progress of the producers' part of a replay for one organization."""
    return f"{replay_id}.{_PRODUCER}{organization}"


def supersedes(record: Record, before: Record) -> bool:
    """Return whether a record of the topic counts in place of the one before with its key: a cancellation is for good.

    Two operators may wish at the same moment, each without knowing of the other. All readers read one log, so all come to one
    result: the last wish counts, but none after a cancellation.
    """
    if b"." in (before.key or b"") or before.value is None or record.value is None:
        return True
    try:
        return _following(decode_job(before.value), job := decode_job(record.value)) is job
    except _UNREADABLE:
        return True


def _following(before: ReplayJob | None, job: ReplayJob) -> ReplayJob:
    """Return the job that counts, after the one before. None: there was none."""
    ended = before is not None and before.wished == "cancelled" and job.wished != "cancelled"
    return before if ended and before is not None else job


class ReplayTable:
    """The replays of one installation, from the records of the topic in their order. Pure.

    A record that cannot be read hides its own replay alone. No wish counts after a cancellation.
    """

    def __init__(self) -> None:
        self._jobs: dict[str, ReplayJob] = {}
        self._progress: dict[str, ReplayProgress] = {}
        self._producers: dict[str, dict[str, bytes]] = {}
        self._offsets: dict[str, dict[str, int]] = {}
        """Of the last record of each part of a replay; the job itself is the part without a name."""
        self.unreadable: dict[str, str] = {}
        """Why a record cannot be read, by its key."""

    @property
    def jobs(self) -> dict[str, KnownReplay]:
        """The replays by id. One of which a record cannot be read is left out: nobody may run or change it."""
        hidden = {key.partition(".")[0] for key in self.unreadable}
        return {
            each.id: KnownReplay(
                each,
                self._progress_of(each),
                dict(self._producers.get(each.id, {})),
                self._sign_of(each),
            )
            for each in self._jobs.values()
            if each.id not in hidden
        }

    def _progress_of(self, job: ReplayJob) -> ReplayProgress | None:
        if job.content == "unreadable":
            return progress_of_reports(job, self._producers.get(job.id, {}))
        return self._progress.get(job.id)

    def _sign_of(self, job: ReplayJob) -> int:
        """Return the offset of the last record of those who work on a job; before there is one, of the job."""
        offsets = self._offsets.get(job.id, {})
        of_producers = (offset for part, offset in offsets.items() if part.startswith(_PRODUCER))
        worked = max(of_producers, default=-1) if job.content == "unreadable" else offsets.get(_PROGRESS, -1)
        return worked if worked >= 0 else offsets.get("", -1)

    def apply(self, record: Record) -> None:
        """Take over a record, or a deletion."""
        key = (record.key or b"").decode("utf-8", "replace")
        replay_id, _, part = key.partition(".")
        self.unreadable.pop(key, None)
        if record.value is None:
            self._delete(replay_id, part)
            return
        try:
            self._keep(replay_id, part, record.value)
            self._offsets.setdefault(replay_id, {})[part] = record.offset
        except _UNREADABLE as error:
            self.unreadable[key] = f"The record {key} of a replay cannot be read ({error})."

    def _keep(self, replay_id: str, part: str, value: bytes) -> None:
        if not part:
            self._jobs[replay_id] = _following(self._jobs.get(replay_id), decode_job(value))
        elif part == _PROGRESS:
            self._progress[replay_id] = _progress(_PROGRESS_CODEC.decode(value))
        elif part.startswith(_PRODUCER):
            self._producers.setdefault(replay_id, {})[part.removeprefix(_PRODUCER)] = value

    def _delete(self, replay_id: str, part: str) -> None:
        self._offsets.get(replay_id, {}).pop(part, None)
        if not part:
            self._jobs.pop(replay_id, None)
        elif part == _PROGRESS:
            self._progress.pop(replay_id, None)
        else:
            self._producers.get(replay_id, {}).pop(part.removeprefix(_PRODUCER), None)


class ReplayStore:
    """Reads and writes the replays of one installation."""

    def __init__(self, connection: Connection, topic: str, writer: RecordWriter | None = None) -> None:
        """`writer`: of a process that writes often; None: each write opens one of its own."""
        self._connection = connection
        self._topic = topic
        self._writer = writer

    async def read(self) -> ReplayTable:
        """Return all replays. Raises ReplaysUnavailableError, or an error of KAFKA_FAILURES for a later attempt."""
        try:
            records = await read_table(self._connection, self._topic, supersedes=supersedes)
        except NoTopicError as error:
            raise ReplaysUnavailableError(no_topic_text(self._topic, str(error))) from error
        except CorruptBatchError as error:
            raise ReplaysUnavailableError(f"Replays wait: {error}") from error
        except KafkaError as error:
            if error.retriable:
                raise
            raise ReplaysUnavailableError(f"{self._topic} cannot be read: {describe(error)}.") from error
        table = ReplayTable()
        for record in sorted(records.values(), key=lambda each: each.offset):
            table.apply(record)
        return table

    async def write_job(self, job: ReplayJob) -> None:
        """Write a job; management alone does. Raises TopicWriteError when it may be on the topic or not."""
        await self._write(job.id, encode_job(job))

    async def write_progress(self, progress: ReplayProgress) -> None:
        """Write the progress of a replay; its owner alone does. Failures as for `write_job`."""
        await self._write(progress_key(progress.id), _PROGRESS_CODEC.encode(asdict(progress)))

    async def _write(self, key: str, value: bytes) -> None:
        if self._writer is not None:
            await self._writer.send(self._topic, key.encode(), value)
            return
        async with RecordWriter(self._connection) as writer:
            await writer.send(self._topic, key.encode(), value)


def no_topic_text(topic: str, absence: str) -> str:
    """Return why replays wait without their topic: an installation of an earlier release has none."""
    return f"Replays wait until {topic} can be read. {absence}"


def encode_job(job: ReplayJob) -> bytes:
    """Return the record of a job."""
    return _JOB_CODEC.encode(_job_record(job))


def decode_job(value: bytes) -> ReplayJob:
    """Return the job of a record. Raises NotAvro, BadBody or UnknownSchema."""
    return _job(_JOB_CODEC.decode(value))


def _job_record(job: ReplayJob) -> dict[str, Any]:
    record = asdict(job)
    record["from"], record["to"] = record.pop("from_ms"), record.pop("to_ms")
    return record


def _job(record: dict[str, Any]) -> ReplayJob:
    """A word of a later release holds the job, and shows as paused."""
    wished = record["wished"] if record["wished"] in get_args(Wish) else "paused"
    return ReplayJob(
        **{name: value for name, value in record.items() if name not in {"from", "to"}}
        | {
            "wished": wished,
            "from_ms": record["from"],
            "to_ms": record["to"],
            "organizations": tuple(record["organizations"]),
            "events": tuple(record["events"]),
            "ranges": tuple(ReplayRange(**each) for each in record["ranges"]),
            "lost": None if record["lost"] is None else ReplayLost(**record["lost"]),
        }
    )


def _progress(record: dict[str, Any]) -> ReplayProgress:
    known = ReplayProgress(
        **record
        | {
            "places": tuple(ReplayPlace(**each) for each in record["places"]),
            "skips": tuple(ReplaySkip(**each) for each in record["skips"]),
        }
    )
    if known.state in get_args(State):
        return known
    word = f"A later release left it in the state {known.state}."
    reason = " ".join(filter(None, (word, known.reason)))
    return replace(known, state="failed", reason=reason)
