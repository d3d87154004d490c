"""What each part tells of itself on the status topic, for the page, the command line and the next owner."""

import asyncio
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

import structlog

from relay.codec import BadBody, Internal, NotAvro, Unencodable, UnknownSchema
from relay.errors import RelayError
from relay.kafka import KafkaError, Record
from relay.kafka.connection import Connection
from relay.kafka.producing import Writer, WritingError
from relay.kafka.reading import read_table

TRANSITIONS_KEPT = 20
HOURS_KEPT = 48
HOUR_MS = 3_600_000
DAY_MS = 86_400_000
FLUSH_SECONDS = 0.5
TOLD_SECONDS = 60.0
"""While Kafka is away, that is told at most so often."""
PAST_SECONDS = 10.0
EPOCH, VALID_UNTIL = "relay.epoch", "relay.valid-until"

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Transition:
    at: int
    state: str
    reason: str | None


@dataclass(frozen=True, slots=True)
class HourCount:
    hour: int
    events: int
    late: int
    dead_letters: int


@dataclass(frozen=True, slots=True)
class GroupOffset:
    topic: str
    partition: int
    offset: int


@dataclass(frozen=True, slots=True)
class Status:
    """How one organization, destination or service is doing; fields as in schemas/status.avsc, instants in ms UTC."""

    state: str
    since: int
    at: int
    valid_until: int
    epoch: int
    reason: str | None = None
    transitions: tuple[Transition, ...] = ()
    counts: tuple[HourCount, ...] = ()
    last_poll: int | None = None
    last_event: int | None = None
    complete_up_to: int | None = None
    waiting_until: int | None = None
    backfilled_to: int | None = None
    lag: int | None = None
    start: str | None = None
    offsets: tuple[GroupOffset, ...] = field(default=())

    def moved(self, state: str, reason: str | None, at: int) -> "Status":
        """The same, now in `state`; a change is remembered, a new wording of the reason alone is not a change."""
        if state == self.state:
            return replace(self, reason=reason, at=at)
        transitions = (*self.transitions, Transition(at, state, reason))[-TRANSITIONS_KEPT:]
        return replace(self, state=state, reason=reason, since=at, at=at, transitions=transitions)

    def valid_for(self, ms: int) -> "Status":
        """The same, to be believed for so long from when it was written."""
        return replace(self, valid_until=self.at + ms)

    def counted(self, at: int, events: int = 0, late: int = 0, dead_letters: int = 0) -> "Status":
        """The same, with what just happened added to its hour."""
        hour = at - at % HOUR_MS
        kept = [
            count for count in self.counts if count.hour > hour - HOURS_KEPT * HOUR_MS and count.hour != hour
        ]
        now = next((count for count in self.counts if count.hour == hour), HourCount(hour, 0, 0, 0))
        now = HourCount(hour, now.events + events, now.late + late, now.dead_letters + dead_letters)
        return replace(self, counts=tuple(sorted([*kept, now], key=lambda count: count.hour)))


def opened(state: str, at: int, previous: Status | None = None, reason: str | None = None) -> Status:
    """A status for a new owner, with the memory of the owner before and a higher epoch."""
    if previous is None:
        return Status(state=state, reason=reason, since=at, at=at, valid_until=at, epoch=at)
    return replace(previous, epoch=max(at, previous.epoch + 1)).moved(state, reason, at)


def to_record(status: Status) -> dict[str, Any]:
    return asdict(status)


def from_record(record: Mapping[str, Any]) -> Status:
    values = {f.name: record[f.name] for f in fields(Status) if f.name in record}
    values["transitions"] = tuple(Transition(**entry) for entry in values["transitions"])
    values["counts"] = tuple(HourCount(**entry) for entry in values["counts"])
    values["offsets"] = tuple(GroupOffset(**entry) for entry in values["offsets"])
    return Status(**values)


class Board:
    """Writes status records: the only writer of the status topic.

    Of each key only the latest waits to be written, so a Kafka that is away costs no memory. `may_write` holds
    writing back while it is doubtful whether what we tell of is still ours; what comes too late for that all the same
    carries its epoch, by which readers know it.
    """

    def __init__(self, writer: Writer, topic: str, may_write: Callable[[], bool] = lambda: True) -> None:
        self._writer = writer
        self._topic = topic
        self._may_write = may_write
        self._codec = Internal("status")
        self._told: dict[str, Status] = {}
        self._waiting: dict[str, Status | None] = {}
        self._warned_at = -math.inf

    def post(self, key: str, status: Status) -> None:
        self._told[key] = self._waiting[key] = status

    def told(self, key: str) -> Status | None:
        """What this process posted last, written or not; None: nothing, or it was taken off or forgotten."""
        return self._told.get(key)

    def withdraw(self, key: str) -> None:
        """Take a record off the board."""
        self._told.pop(key, None)
        self._waiting[key] = None

    def forget(self, key: str) -> None:
        """Leave a record as it stands: somebody else's now."""
        self._told.pop(key, None)
        self._waiting.pop(key, None)

    async def run(self) -> None:
        """Write what was posted, until cancelled."""
        while True:
            await asyncio.sleep(FLUSH_SECONDS)
            await self.flush()

    async def flush(self) -> None:
        """Write what waits. What could not be written goes on waiting."""
        if not self._waiting or not self._may_write():
            return
        try:
            async with asyncio.TaskGroup() as group:
                for key, status in self._waiting.items():
                    group.create_task(self._write(key, status))
        except* WritingError as errors:
            self._warn(str(errors.exceptions[0]))
        else:
            self._warned_at = -math.inf

    def _warn(self, reason: str) -> None:
        now = time.monotonic()
        if now - self._warned_at >= TOLD_SECONDS:
            self._warned_at = now
            log.warning("Status could not be written; trying again.", reason=reason)

    async def _write(self, key: str, status: Status | None) -> None:
        try:
            value = None if status is None else self._codec.encode(to_record(status))
        except Unencodable as error:
            log.error("A status cannot be written down and is left out.", key=key, reason=str(error))
        else:
            headers = () if status is None else _owner_headers(status)
            await self._writer.send(self._topic, key.encode(), value, headers=headers)
        if key in self._waiting and self._waiting[key] is status:
            del self._waiting[key]


class Past:
    """What former owners told, read again when it is older than ten seconds."""

    def __init__(self, connection: Connection, topic: str) -> None:
        self._connection = connection
        self._topic = topic
        self._lock = asyncio.Lock()
        self._read_at = -math.inf
        self._board: dict[str, Status] = {}

    async def of(self, key: str) -> Status | None:
        """The last record of a key; None, too, where Kafka does not tell within ten seconds: it is a comfort, no need."""
        async with self._lock:
            if time.monotonic() - self._read_at >= PAST_SECONDS:
                try:
                    async with asyncio.timeout(PAST_SECONDS):
                        self._board = await read_board(self._connection, self._topic)
                except (RelayError, KafkaError, TimeoutError, OSError) as error:
                    reason = str(error) or type(error).__name__
                    log.warning("What was told before cannot be read.", reason=reason)
                self._read_at = time.monotonic()
            return self._board.get(key)


async def read_board(connection: Connection, topic: str) -> dict[str, Status]:
    """Every status record as it stands now; one that cannot be read is left out, with a warning.

    What a former owner tells while its successor's word is valid counts for nothing.
    """
    codec = Internal("status")
    board: dict[str, Status] = {}
    for number, (key, record) in enumerate(
        (await read_table(connection, topic, supersedes=_supersedes)).items()
    ):
        if number % 500 == 499:
            await asyncio.sleep(0)  # ten thousand take a second
        try:
            board[key.decode()] = from_record(codec.decode(record.value or b""))
        except (NotAvro, BadBody, UnknownSchema, UnicodeDecodeError) as error:
            log.warning("A status record cannot be read.", key=repr(key), reason=str(error))
    return board


async def sweep(board: Board, connection: Connection, topic: str, now_ms: int) -> None:
    """Take off the board what processes that died left of themselves, a day after it was last valid."""
    for key, status in (await read_board(connection, topic)).items():
        of_a_process = key.split("/")[0] not in {"producer", "destination"}
        if of_a_process and status.valid_until + DAY_MS < now_ms:
            board.withdraw(key)


def _owner_headers(status: Status) -> list[tuple[str, bytes]]:
    return [(EPOCH, str(status.epoch).encode()), (VALID_UNTIL, str(status.valid_until).encode())]


def _supersedes(record: Record, before: Record) -> bool:
    """Whether a later record counts: not one of an older owner, as long as the newer one's is valid."""
    return _header(record, EPOCH) >= _header(before, EPOCH) or record.timestamp > _header(before, VALID_UNTIL)


def _header(record: Record, name: str) -> int:
    value = dict(record.headers).get(name, b"")
    return int(value) if value.isdigit() else 0
