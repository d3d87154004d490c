"""Read the status topic, and remove what dead processes left there."""

import asyncio
import math
import re
import time
from dataclasses import dataclass

import structlog

from relay.avro.codec import NEWER_FIELDS, BadBody, InternalCodec, NotAvro, UnknownSchema, split_frame
from relay.errors import describe
from relay.kafka import KAFKA_FAILURES, Record
from relay.kafka.compacted_topics import read_table
from relay.kafka.connection import Connection
from relay.kafka.log_reader import CorruptBatchError, TopicReadError
from relay.status.model import EPOCH, VALID_UNTIL, HourCount, Status, from_record
from relay.status.writer import StatusWriter
from relay.timestamps import DAY_MS, HOUR_MS

log = structlog.get_logger(__name__)

_STATE = re.compile(r"[a-z][a-z -]*")


@dataclass(frozen=True, slots=True)
class StatusCacheTiming:
    """Age at which statuses are read again, and the bound of one reading, in seconds."""

    max_age_seconds: float = 10.0
    read_seconds: float = 10.0


DEFAULT_TIMING = StatusCacheTiming()

_GOING_ON_AT_ONCE = 50
"""Callers of `latest` that go on in one turn of the event loop; each starts a poller, which takes a millisecond."""


class StatusCache:
    """The stored statuses, read again when the last reading is older than `timing.max_age_seconds`."""

    def __init__(
        self, connection: Connection, topic: str, timing: StatusCacheTiming = DEFAULT_TIMING
    ) -> None:
        self._timing = timing
        self._connection = connection
        self._topic = topic
        self._read_at = -math.inf
        self._statuses: dict[str, Status] = {}
        self._reading: asyncio.Task[None] | None = None
        self._waiting: list[asyncio.Future[None]] = []

    async def latest(self, key: str) -> Status | None:
        """Return the last stored status of `key`.
        None if there is none or Kafka does not answer in time; callers can do without it.
        """
        if time.monotonic() - self._read_at >= self._timing.max_age_seconds:
            # A shard asks for thousands of keys in one moment: all await one reading, and go on a few at a time.
            read = asyncio.get_running_loop().create_future()
            self._waiting.append(read)
            if self._reading is None:
                self._reading = asyncio.create_task(self._read(), name="read the last statuses")
            await read
        return self._statuses.get(key)

    async def _read(self) -> None:
        """Read the statuses, and let all go on that wait for them, whatever has happened."""
        try:
            async with asyncio.timeout(self._timing.read_seconds):
                self._statuses = await read_statuses(self._connection, self._topic)
        except KAFKA_FAILURES as error:
            log.warning("The last status could not be read.", reason=describe(error))
        except Exception:
            log.exception("A defect kept the last status from being read.")
        finally:
            self._read_at = time.monotonic()
            waiting, self._waiting, self._reading = self._waiting, [], None
            _go_on(waiting)

    async def to_continue(self, key: str, *, replaceable: bool) -> Status | None:
        """Return the stored status of `key` for its next owner to continue; None: there is none.

        `replaceable`: whether one that cannot be read may be replaced. Raises one of KAFKA_FAILURES where it may not, and
        where Kafka does not answer: a status holds the backup of offsets, and a process that replaces it unread loses them.
        """
        async with asyncio.timeout(self._timing.read_seconds):
            try:
                return await read_status(self._connection, self._topic, key)
            except (UnreadableStatusError, CorruptBatchError):
                if replaceable:
                    return None
                raise


def _go_on(waiting: list["asyncio.Future[None]"]) -> None:
    """Let those who wait go on, a few in each turn of the event loop: a start of ten thousand pollers holds it for seconds."""
    for read in waiting[:_GOING_ON_AT_ONCE]:
        if not read.done():
            read.set_result(None)
    if rest := waiting[_GOING_ON_AT_ONCE:]:
        asyncio.get_running_loop().call_soon(_go_on, rest)


class UnreadableStatusError(TopicReadError):
    """A record of the status topic is none that this release can read."""


async def read_statuses(connection: Connection, topic: str) -> dict[str, Status]:
    """Return every current status by key. An unreadable record or batch is left out, with a warning.

    A record of an older owner is ignored while the status of its successor is valid.
    """
    statuses: dict[str, Status] = {}
    table = await read_table(connection, topic, supersedes=supersedes, on_corrupt=_warn_of_corrupt_batch)
    for number, (key, record) in enumerate(table.items()):
        if number % 500 == 499:
            await asyncio.sleep(0)  # ten thousand records take a second: other tasks run in between
        if (status := decode_status(record)) is not None:
            statuses[key.decode()] = status
    return statuses


def decode_status(record: Record) -> Status | None:
    """Return the status in a record of the status topic. None, with a warning: it cannot be read."""
    key = record.key or b""
    try:
        key.decode()
        return _status_in(record)
    except (NotAvro, BadBody, UnknownSchema, UnicodeDecodeError) as error:
        log.warning("A status record could not be read and was skipped.", key=repr(key), reason=str(error))
        return None


async def read_status(connection: Connection, topic: str, key: str) -> Status | None:
    """Return the current status of one key; None if there is none.

    Raises TopicReadError when there may be one that cannot be read: then nothing may be assumed.
    """
    corrupt_batches: list[CorruptBatchError] = []
    table = await read_table(connection, topic, supersedes=supersedes, on_corrupt=corrupt_batches.append)
    record = table.get(key.encode())
    if record is None:
        if corrupt_batches:
            raise corrupt_batches[0]
        return None
    try:
        return _status_in(record)
    except (NotAvro, BadBody, UnknownSchema) as error:
        raise UnreadableStatusError(f"The record {key} of {topic} cannot be read ({error}).") from error


def _status_in(record: Record) -> Status:
    """Return the status in a record; of a newer release, the fields that this one knows. Raises NotAvro, BadBody or UnknownSchema."""
    value = record.value or b""
    found = InternalCodec("status").decode(value)
    is_status = _STATE.fullmatch(found["state"]) and found["at"] > 0
    if NEWER_FIELDS in found and not is_status:  # nothing else proves that a newer release wrote it
        raise UnknownSchema(split_frame(value)[0])
    return from_record(found)


def _warn_of_corrupt_batch(error: CorruptBatchError) -> None:
    log.warning("Status records could not be read and were skipped.", reason=str(error))


async def remove_stale(status_writer: StatusWriter, connection: Connection, topic: str, now_ms: int) -> None:
    """Delete the statuses of processes that died, once they were not valid for `_kept_ms`. Organizations and destinations stay."""
    for key, status in (await read_statuses(connection, topic)).items():
        is_process = key.split("/")[0] not in {"producer", "destination"}
        if is_process and status.valid_until + _kept_ms(status) < now_ms:
            status_writer.tombstone(key)


def _kept_ms(status: Status) -> int:
    """Return how long the status of a dead process is kept: a day where it counted something, else as long as it had lived.

    A process that ends a minute after each start leaves a record a life; it is seen all the same, for an hour at least.
    """
    if any(each != HourCount(each.hour, 0, 0, 0) for each in status.counts):
        return DAY_MS
    return min(DAY_MS, max(HOUR_MS, status.valid_until - status.since))


def supersedes(record: Record, previous: Record) -> bool:
    """Return whether a later record replaces the one before: not if it is of an older owner while the other is valid."""
    return _header(record, EPOCH) >= _header(previous, EPOCH) or record.timestamp > _header(
        previous, VALID_UNTIL
    )


def _header(record: Record, name: str) -> int:
    value = dict(record.headers).get(name, b"")
    return int(value) if value.isdigit() else 0
