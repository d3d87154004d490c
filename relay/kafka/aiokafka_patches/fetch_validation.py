"""Validate fetched batches before aiokafka reads them, and hold those that it could not read."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import CorruptRecordException, OffsetOutOfRangeError
from aiokafka.protocol.fetch import FetchRequest

from relay.errors import describe, one_line
from relay.kafka import TopicPartition
from relay.kafka.aiokafka_patches.leader_epochs import LeaderEpochs
from relay.kafka.aiokafka_patches.record_batches import RecordBatch, end_of_batches, parse_batches
from relay.kafka.aiokafka_patches.record_parsing import catch_parse_errors

POLL_BYTES = 1_000_000
"""Bytes of values after which a member's getmany takes no further batch; what it takes is in no buffer that has a bound."""
WRONG_CHECKSUM = "its checksum is wrong"
WRONG_HEAD = "its length or format is impossible"
WRONG_OFFSETS = "its offsets or number of records are impossible"


@dataclass(frozen=True, slots=True)
class CorruptBatch:
    """A batch that cannot be read."""

    base_offset: int
    last_offset: int
    fault: str
    """Part of a sentence, without a full stop."""


class CorruptFetchError(CorruptRecordException):  # type: ignore[misc]
    """Raised by getmany of a consumer outside of groups at a batch that cannot be read."""

    def __init__(self, tp: TopicPartition, offset: int, batch: CorruptBatch) -> None:
        super().__init__(f"{tp.topic}, partition {tp.partition}, offset {offset}: {batch.fault}")
        self.tp = tp
        self.offset = offset
        self.batch = batch


class FetchValidator:
    """Fail the fetch of a partition if its first batch is invalid; all other partitions are read on.

    Invalid is a batch that is corrupt or malformed, and for a member of a group a batch of another leader than the batch
    read before it. Without this, aiokafka does not notice the other leader; at a batch that it cannot read, it retries
    for ever, or drops the records that it has read of other partitions.
    """

    def __init__(self) -> None:
        self._epochs = LeaderEpochs()
        self._corrupt: dict[TopicPartition, CorruptBatch] = {}
        self._suspects: dict[TopicPartition, int] = {}
        """Offsets at which reading has failed once. It counts when it fails there again."""
        self._unreadable: dict[TopicPartition, tuple[int, str]] = {}
        """Offsets at which the parser has failed twice, and its fault."""
        self._fetcher: Any = None
        """Of a consumer outside of groups."""

    def forget(self, tp: TopicPartition) -> None:
        """Accept any leader for the next batch. Call it after a seek, or when the earlier records are known to exist."""
        self._epochs.forget(tp)

    def corrupt_batch(self, tp: TopicPartition) -> CorruptBatch | None:
        """Return the corrupt batch that failed the last fetch, once; then None."""
        return self._corrupt.pop(tp, None)

    def attach(self, consumer: AIOKafkaConsumer) -> None:
        """Validate every fetch of this consumer; a failed one raises OffsetOutOfRangeError from getmany.

        It must not have a reset policy, and need not check checksums itself.
        """
        client = consumer._client  # noqa: SLF001
        send = client.send

        async def validated(node_id: Any, request: Any, **options: Any) -> Any:
            response = await send(node_id, request, **options)
            if isinstance(request, FetchRequest):
                self._validate(request, response)
            return response

        client.send = validated

    def attach_to_member(self, consumer: AIOKafkaConsumer) -> None:
        """Do the same, and catch the errors of the parser. The consumer must be started."""
        self.attach(consumer)
        catch_parse_errors(consumer, self._note_unreadable, POLL_BYTES)

    def attach_to_reader(self, consumer: AIOKafkaConsumer) -> None:
        """Do so for a consumer outside of groups, whatever its reset policy: getmany raises CorruptFetchError.

        Leaders may change.
        """
        self._fetcher = consumer._fetcher  # noqa: SLF001
        self.attach(consumer)
        catch_parse_errors(consumer, self._note_unreadable)

    def _note_unreadable(self, tp: TopicPartition, offset: int, error: Exception) -> None:
        if self._is_second(tp, offset):
            fault = f"a record in it is malformed: {one_line(describe(error), 200).rstrip('.')}"
            self._unreadable[tp] = (offset, fault)

    def _is_second(self, tp: TopicPartition, offset: int) -> bool:
        if self._suspects.pop(tp, None) == offset:
            return True
        self._suspects[tp] = offset
        return False

    def _validate(self, request: FetchRequest, response: Any) -> None:
        offsets = {
            (topic, asked[0]): asked[1] for topic, partitions in request.topics for asked in partitions
        }
        for topic, partitions in response.topics:
            for at, (partition, error, *facts, fetched) in enumerate(partitions):
                if error or not fetched:
                    continue
                tp = TopicPartition(topic, partition)
                offset = offsets[topic, partition]
                valid_bytes = self._valid_bytes(tp, offset, facts[0], fetched)
                if valid_bytes is None and self._fetcher is None:
                    partitions[at] = (partition, OffsetOutOfRangeError.errno, *facts, b"")
                elif not valid_bytes:
                    self._fail_reader(tp, offset)
                    partitions[at] = (partition, error, *facts, b"")
                elif valid_bytes < len(fetched):
                    partitions[at] = (partition, error, *facts, fetched[:valid_bytes])

    def _fail_reader(self, tp: TopicPartition, offset: int) -> None:
        """Let the next getmany raise, if the partition is still read at this offset."""
        corrupt = self._corrupt.pop(tp, None) if self._fetcher is not None else None
        if corrupt is None or tp in self._fetcher._records:  # noqa: SLF001
            return
        subscription = self._fetcher._subscriptions.subscription  # noqa: SLF001
        assignment = subscription and subscription.assignment
        if not assignment or tp not in assignment.tps or assignment.state_value(tp)._position != offset:  # noqa: SLF001
            return
        self._fetcher._set_error(tp, CorruptFetchError(tp, offset, corrupt))  # noqa: SLF001
        for waiter in list(self._fetcher._fetch_waiters):  # noqa: SLF001
            self._fetcher._notify(waiter)  # noqa: SLF001

    def _valid_bytes(
        self, tp: TopicPartition, offset: int, high_watermark: int, fetched: bytes
    ) -> int | None:
        """Return the number of bytes that may be read, None if the fetch fails."""
        # 1. Batches before a corrupt one are read; the next fetch then begins with the corrupt one and fails.
        # 2. Bytes after the last complete batch stay: aiokafka knows that a fetch may end within a batch.
        # 3. A first batch that is incomplete is corrupt: since KIP-74 brokers send it whole or not at all.
        batches = list(parse_batches(fetched))
        end = end_of_batches(fetched)
        valid, fault = _valid_batches(batches, offset)
        noted_offset, noted_fault = self._unreadable.pop(tp, (None, ""))
        if noted_offset == offset:
            valid, fault = [], noted_fault
        if not valid and (fault or not end):
            self._corrupt[tp] = _corrupt_batch(batches, offset, high_watermark, fault or WRONG_HEAD)
            return None
        # The high watermark is older than the batches (ReplicaManager reads it first), so a batch may be beyond it, once.
        if valid and valid[0].last_offset >= high_watermark:
            if not self._is_second(tp, offset):
                return 0
            self._corrupt[tp] = _corrupt_batch(batches, offset, high_watermark, WRONG_OFFSETS)
            return None
        plausible = [batch for batch in valid if batch.last_offset < high_watermark]
        heads = [(batch.base_offset, batch.epoch) for batch in plausible]
        if self._fetcher is None and not self._epochs.accept(tp, offset, heads):
            return None
        return end if len(plausible) == len(batches) else batches[len(plausible)].start


def _valid_batches(batches: Sequence[RecordBatch], offset: int) -> tuple[list[RecordBatch], str]:
    """Return the batches before the first invalid one, and the fault of that one."""
    valid: list[RecordBatch] = []
    expected, certain = offset, True
    for batch in batches:
        if not batch.intact:
            return valid, WRONG_CHECKSUM
        span = batch.last_offset - batch.base_offset + 1
        if batch.last_offset < max(offset, batch.base_offset) or batch.count not in range(span + 1):
            return valid, WRONG_OFFSETS
        if valid and batch.base_offset < expected:
            # Either may be wrong. If the end of the one before is, reading it would skip good records.
            return (valid if certain else valid[:-1]), WRONG_OFFSETS
        certain = batch.base_offset <= expected and batch.count == span
        expected = batch.last_offset + 1
        valid.append(batch)
    return valid, ""


def _corrupt_batch(
    batches: Sequence[RecordBatch], offset: int, high_watermark: int, fault: str
) -> CorruptBatch:
    """Describe the first batch. Its last offset is never beyond the batch, since readers go on behind it."""
    if not batches:
        return CorruptBatch(offset, offset, fault)
    last_offset = max(offset, _certain_last_offset(batches, high_watermark))
    return CorruptBatch(min(max(batches[0].base_offset, 0), last_offset), last_offset, fault)


def _certain_last_offset(batches: Sequence[RecordBatch], high_watermark: int) -> int:
    """Return the last offset of the first batch if its head is confirmed, else -1."""
    # A corrupt head may hold any length and any offsets. An intact batch behind it confirms the length, and bounds the
    # offsets. Without one, a right checksum confirms the offsets, and so does the end of the log.
    first, *behind = batches
    if behind:
        return min(first.last_offset, behind[0].base_offset - 1) if behind[0].intact else -1
    confirmed = first.last_offset == high_watermark - 1 or (
        first.intact and first.last_offset < high_watermark
    )
    return first.last_offset if confirmed else -1
