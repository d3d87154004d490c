"""One shard's partitions in memory, with transactions and their faults."""

from collections import defaultdict
from dataclasses import dataclass
from itertools import takewhile

from aiokafka.errors import ProducerFenced

from tests.support.publisher import TOPICS


@dataclass(eq=False, slots=True)
class PartitionEntry:
    """A record or a marker. `state`: open, committed, aborted or marker. `stored`: Kafka's time of the write."""

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
        """Entries that retention has deleted."""

    @property
    def end(self):
        return self.entries[-1].offset + 1 if self.entries else self.first

    @property
    def stable(self):
        """Return the last stable offset."""
        return next((entry.offset for entry in self.entries if entry.state == "open"), self.end)


class ShardLog:
    """The topics of one shard, and the state of its one transactional producer."""

    def __init__(self, now_ms):
        self._now_ms = now_ms
        self.epoch = 0
        self._touched = set()
        self.partitions = defaultdict(LogPartition)

    def fence(self, forgotten=()):
        """Start a new owner and abort the former one's open transaction."""
        self._end("aborted", forgotten)
        self.epoch += 1
        return self.epoch

    def append(self, epoch, topic, key, value, timestamp, headers):
        self._check(epoch)
        self._touched.add(topic)
        return self._append(topic, key, value, timestamp, headers, "open").offset

    def commit(self, epoch, touched=(), forgotten=()):
        """Commit. Topics in `forgotten` get no marker; their next marker decides for the open entries."""
        self._check(epoch)
        self._touched |= set(touched)
        self._end("committed", forgotten)

    def cut(self, topic, count):
        """Lose up to `count` entries of the end, none above an hour old; return whether any. Entries without a marker are open."""
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
        """Delete entries older than `before` from the start, as retention does."""
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
        """Return the progress topic as a reader finds it."""
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
