"""What each part tells of itself on the status topic, for the page, the command line and the next owner."""

import asyncio
import math
import time
from collections.abc import Callable

import structlog

from relay.avro.codec import Internal, Unencodable
from relay.kafka.connection import Connection
from relay.kafka.producer import Writer, WritingError
from relay.status.model import EPOCH, VALID_UNTIL, Status, to_record
from relay.status.reader import read_board

DAY_MS = 86_400_000
FLUSH_SECONDS = 0.5
TOLD_SECONDS = 60.0
"""While Kafka is away, that is told at most so often."""

log = structlog.get_logger(__name__)


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


async def sweep(board: Board, connection: Connection, topic: str, now_ms: int) -> None:
    """Take off the board what processes that died left of themselves, a day after it was last valid."""
    for key, status in (await read_board(connection, topic)).items():
        of_a_process = key.split("/")[0] not in {"producer", "destination"}
        if of_a_process and status.valid_until + DAY_MS < now_ms:
            board.withdraw(key)


def _owner_headers(status: Status) -> list[tuple[str, bytes]]:
    return [(EPOCH, str(status.epoch).encode()), (VALID_UNTIL, str(status.valid_until).encode())]
