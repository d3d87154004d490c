"""One shard's partitions in memory, with transactions and all that may become of them."""

from collections import defaultdict
from dataclasses import dataclass
from itertools import takewhile

from aiokafka.errors import ProducerFenced

from tests.support.publisher import TOPICS


@dataclass(eq=False, slots=True)
class PartitionEntry:
    """A record, or the end of a transaction. `state`: open, committed, aborted, or marker; `stored`: when, by Kafka's clock."""

    topic: str
    offset: int
    key: bytes
    value: bytes
    timestamp: int
    headers: tuple
    state: str
    stored: int
    partition = 0
    timestamp_type = 0


class LogPartition:
    def __init__(self):
        self.entries = []
        self.first = 0
        self.deleted = []
        """What retention took."""

    @property
    def end(self):
        return self.entries[-1].offset + 1 if self.entries else self.first

    @property
    def stable(self):
        """Where what is committed or aborted for certain ends."""
        return next((entry.offset for entry in self.entries if entry.state == "open"), self.end)


class ShardLog:
    """The topics of one shard, and the state of its one transactional producer."""

    def __init__(self, now_ms):
        self._now_ms = now_ms
        self.epoch = 0
        self._touched = set()
        self.partitions = defaultdict(LogPartition)

    def fence(self, forgotten=()):
        """A new owner: what the former one has open is aborted."""
        self._end("aborted", forgotten)
        self.epoch += 1
        return self.epoch

    def append(self, epoch, topic, key, value, timestamp, headers):
        self._check(epoch)
        self._touched.add(topic)
        return self._append(topic, key, value, timestamp, headers, "open").offset

    def commit(self, epoch, touched=(), forgotten=()):
        """`forgotten`: topics whose markers are never written; the next marker there counts for what is open still."""
        self._check(epoch)
        self._touched |= set(touched)
        self._end("committed", forgotten)

    def cut(self, topic, count):
        """Lose up to so many entries of the end, none older than an hour; whether there were any. What has lost its marker is open."""
        entries = self.partitions[topic].entries
        recent = sum(entry.stored >= self._now_ms() - 3_600_000 for entry in entries)
        kept = len(entries) - min(count, recent)
        lost = entries[kept:]
        del entries[kept:]
        if any(entry.state == "marker" for entry in lost):
            for entry in takewhile(lambda entry: entry.state != "marker", reversed(entries)):
                entry.state = "open"
        return bool(lost)

    def expire(self, topic, before):
        """Retention deletes from the start what is older."""
        partition = self.partitions[topic]
        while (
            partition.entries
            and partition.entries[0].timestamp < before
            and partition.entries[0].state != "open"
        ):
            partition.first = partition.entries[0].offset + 1
            partition.deleted.append(partition.entries.pop(0))

    def committed(self, topic, *, deleted=False):
        partition = self.partitions[topic]
        there = partition.entries if not deleted else [*partition.deleted, *partition.entries]
        return [entry for entry in there if entry.state == "committed"]

    def table(self):
        """The progress topic, as a reader finds it."""
        return {entry.key: entry.value for entry in self.committed(TOPICS.progress)}

    def _check(self, epoch):
        if epoch != self.epoch:
            raise ProducerFenced

    def _end(self, state, forgotten=()):
        for topic in self._touched - set(forgotten):
            for entry in self.partitions[topic].entries:
                if entry.state == "open":
                    entry.state = state
            self._append(topic, b"", b"", self._now_ms(), (), "marker")
        self._touched = set()

    def _append(self, topic, key, value, timestamp, headers, state):
        partition = self.partitions[topic]
        entry = PartitionEntry(
            topic, partition.end, key, value, timestamp, tuple(headers), state, self._now_ms()
        )
        partition.entries.append(entry)
        return entry
