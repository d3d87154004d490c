"""Write statuses to the status topic, for the console, the command line and the next owner."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace

import structlog

from relay.avro.codec import InternalCodec, Unencodable
from relay.condition_log import ConditionLog
from relay.kafka.producer import RecordTooLargeError, RecordWriter, TopicWriteError
from relay.status.model import EPOCH, VALID_UNTIL, Status, to_record

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class WriterTiming:
    """Pauses of the status writer."""

    flush_seconds: float = 0.5


DEFAULT_TIMING = WriterTiming()


class StatusWriter:
    """The only writer of statuses; consoles write their sign-outs to the topic too.
    Of each key only the latest status waits, so an unavailable Kafka costs no memory.

    `may_write` returns False while another process may own the subjects of the statuses; they wait then.
    A record that is late all the same carries its epoch, by which readers ignore it.
    """

    def __init__(
        self,
        writer: RecordWriter,
        topic: str,
        may_write: Callable[[], bool] = lambda: True,
        timing: WriterTiming = DEFAULT_TIMING,
    ) -> None:
        self._timing = timing
        self._writer = writer
        self._topic = topic
        self._may_write = may_write
        self._codec = InternalCodec("status")
        self._last_put: dict[str, Status] = {}
        self._pending: dict[str, Status | None] = {}
        self._conditions = ConditionLog(log)
        self._too_large = ConditionLog(log)
        """By key: a status that is too large says nothing about the others."""

    def put(self, key: str, status: Status) -> None:
        """Write a status at the next flush, in place of one that still waits."""
        self._last_put[key] = self._pending[key] = status

    def last_put(self, key: str) -> Status | None:
        """Return the last status put in this process, written or not.
        None if there is none, or it was deleted or forgotten.
        """
        return self._last_put.get(key)

    def put_statuses(self, prefix: str) -> dict[str, Status]:
        """Return the last status put in this process by key, for the keys that begin with `prefix`."""
        return {key: status for key, status in self._last_put.items() if key.startswith(prefix)}

    def expire(self, key: str, status: Status, now_ms: int) -> None:
        """End the validity of a status at the next flush, since its owner stops.

        A successor that has written already has a higher epoch, by which readers ignore this record.
        """
        self.put(key, replace(status, at=now_ms, valid_until=now_ms))

    def tombstone(self, key: str) -> None:
        """Delete the record of a key at the next flush."""
        self._last_put.pop(key, None)
        self._pending[key] = None
        self._too_large.forget(key)

    def forget(self, key: str) -> None:
        """Leave the record of a key to its new owner: drop the status that waits."""
        self._last_put.pop(key, None)
        self._pending.pop(key, None)
        self._too_large.forget(key)

    async def run(self) -> None:
        """Flush every `timing.flush_seconds`, until cancelled."""
        while True:
            await asyncio.sleep(self._timing.flush_seconds)
            await self.flush()

    async def flush(self) -> None:
        """Write the statuses that wait. Those that Kafka does not confirm wait for the next flush.

        Where the topic refuses them for their size, which is that of their batch, each one is written by itself.
        """
        if not self._pending or not self._may_write():
            return
        failure: BaseException | None = None
        try:
            await self._write_together()
        except* TopicWriteError as errors:
            refused = errors.subgroup(RecordTooLargeError) is not None
            failure = await self._write_singly() if refused else errors.exceptions[0]
        if failure is not None:
            self._note_failure(failure)
        else:
            self._conditions.ended(self._topic, "Status is written again; it could not be")

    async def _write_together(self) -> None:
        async with asyncio.TaskGroup() as group:
            for key, status in self._pending.items():
                group.create_task(self._write(key, status))

    async def _write_singly(self) -> TopicWriteError | None:
        """Write one status after the other. One that is too large alone is dropped, so that the others are written.

        Return the failure of the first that Kafka does not confirm; None: it took all others.
        """
        for key, status in list(self._pending.items()):
            try:
                await self._write(key, status)
            except RecordTooLargeError as error:
                self._note_too_large(key, error)
                if self._pending.get(key) is status:
                    del self._pending[key]
            except TopicWriteError as error:
                return error
        return None

    def _note_failure(self, error: BaseException) -> None:
        self._conditions.failed(
            self._topic, "failed", "Status was not written; the relay tries again.", {"reason": str(error)}
        )

    def _note_too_large(self, key: str, error: RecordTooLargeError) -> None:
        self._too_large.failed(
            key,
            "too large",
            "A status was too large. Raise max.message.bytes of its topic.",
            {"key": key, "reason": str(error)},
        )

    async def _write(self, key: str, status: Status | None) -> None:
        try:
            value = None if status is None else self._codec.encode(to_record(status))
        except Unencodable as error:
            log.error("A status did not fit its schema and was skipped.", key=key, reason=str(error))
        else:
            headers = () if status is None else _owner_headers(status)
            await self._writer.send(self._topic, key.encode(), value, headers=headers)
            self._too_large.ended(key, "The status is written again; it was too large", {"key": key})
        if key in self._pending and self._pending[key] is status:
            del self._pending[key]


def _owner_headers(status: Status) -> list[tuple[str, bytes]]:
    return [(EPOCH, str(status.epoch).encode()), (VALID_UNTIL, str(status.valid_until).encode())]
