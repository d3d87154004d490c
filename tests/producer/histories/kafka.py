"""Fakes of aiokafka's clients on the log of a history."""

import asyncio
from contextlib import suppress
from types import SimpleNamespace

from aiokafka.errors import KafkaConnectionError, KafkaError, ProducerFenced

from tests.support.publisher import TOPICS

OUTCOMES = {
    "start": ("ok", "refused", "forgotten events", "forgotten progress", "forgotten"),
    "read": ("ok", "refused"),
    "append": ("ok", "refused", "unanswered"),
    "commit": (
        "ok",
        "refused",
        "unanswered",
        "silence",
        "forgotten events",
        "forgotten progress",
        "forgotten",
    ),
}
"""Outcomes of each step. A transaction end is `forgotten` when Kafka acknowledges it and never writes its markers."""

_FORGOTTEN_TOPICS = {
    "forgotten events": {TOPICS.events, TOPICS.backfill},
    "forgotten progress": {TOPICS.progress},
    "forgotten": {TOPICS.events, TOPICS.backfill, TOPICS.progress, TOPICS.dead_letters},
}


class FakeBatch:
    """Replaces aiokafka's BatchBuilder: it is full with two records, so that transactions have several batches."""

    def __init__(self):
        self.records = []

    def append(self, *, timestamp, key, value, headers):
        if len(self.records) == 2:
            return None
        self.records.append((key, value, timestamp, headers))
        return len(self.records)

    def close(self):
        """Do nothing; nobody appends to a closed batch."""


class FakeProducer:
    """Replaces AIOKafkaProducer."""

    def __init__(self, process, **_options):
        self._process = process
        self._log = process.world.log
        self._epoch = -1
        self._waiting = []
        self._added = set()
        self._sender = None
        self._transaction_waiter = asyncio.get_running_loop().create_future()
        self._txn_manager = self
        self.client = None

    @property
    def fenced(self):
        """Return whether another producer has started since, also a former owner with a late request."""
        return self._epoch != self._log.epoch

    async def start(self):
        outcome = await self._process.step("start")
        if outcome == "refused":
            raise KafkaConnectionError
        self._epoch = self._log.fence(_FORGOTTEN_TOPICS.get(outcome, ()))

    async def begin_transaction(self):
        self._added = set()

    def maybe_add_partition_to_txn(self, tp):
        self._added.add(tp.topic)

    def create_batch(self):
        return FakeBatch()

    async def send_batch(self, batch, topic, *, partition):
        assert partition == 0
        acknowledgement = asyncio.get_running_loop().create_future()
        self._waiting.append((acknowledgement, topic, batch))
        if len(self._waiting) == 1:
            self._sender = asyncio.create_task(self._send_waiting())
        return acknowledgement

    async def _send_waiting(self):
        outcome = await self._process.step("append")
        waiting, self._waiting = self._waiting, []
        for acknowledgement, topic, batch in waiting:
            try:
                if outcome == "refused":
                    raise KafkaError("refused")
                offsets = [self._log.append(self._epoch, topic, *record) for record in batch.records]
                if outcome == "unanswered":
                    raise KafkaError("no answer")
            except KafkaError as error:
                if not acknowledgement.done():
                    acknowledgement.set_exception(error)
            else:
                if not acknowledgement.done():
                    acknowledgement.set_result(SimpleNamespace(offset=offsets[0]))

    async def commit_transaction(self):
        try:
            outcome = await self._process.step("commit")
        except asyncio.CancelledError:
            if self._process.cancelled_commit_succeeds:
                with suppress(ProducerFenced):
                    self._log.commit(self._epoch, self._added)
            raise
        if outcome == "refused":
            raise KafkaError("refused")
        self._log.commit(self._epoch, self._added, _FORGOTTEN_TOPICS.get(outcome, ()))
        if outcome == "unanswered":
            raise KafkaError("no answer")
        if outcome == "silence":
            await asyncio.Event().wait()

    async def discard(self):
        if self._sender is not None:
            self._sender.cancel()
        for acknowledgement, _, _ in self._waiting:
            if not acknowledgement.done():
                acknowledgement.set_exception(KafkaError("the producer was given up"))


class FakeConsumer:
    """Replaces AIOKafkaConsumer: no group, read_committed."""

    def __init__(self, process, **_options):
        self._process = process
        self._log = process.world.log
        self._positions = {}
        self._client = None
        self._fetcher = SimpleNamespace(_fetch_task=SimpleNamespace(done=lambda: False))

    async def start(self):
        if await self._process.step("read") == "refused":
            raise KafkaConnectionError

    def assign(self, partitions):
        self._positions = dict.fromkeys(partitions, 0)

    def seek(self, tp, offset):
        self._positions[tp] = offset

    async def position(self, tp):
        return self._positions[tp]

    async def getmany(self, timeout_ms, max_records=None):  # noqa: ARG002
        found = {}
        for tp, position in self._positions.items():
            stable = self._log.partitions[tp.topic].stable
            found[tp] = [e for e in self._log.committed(tp.topic) if position <= e.offset < stable]
            self._positions[tp] = max(position, stable)
        return found

    async def beginning_offsets(self, partitions):
        return {tp: self._log.partitions[tp.topic].first for tp in partitions}

    async def end_offsets(self, partitions):
        return {tp: self._log.partitions[tp.topic].stable for tp in partitions}

    async def offsets_for_times(self, times):
        def first(tp, at):
            entries = self._log.partitions[tp.topic].entries
            return next((SimpleNamespace(offset=e.offset) for e in entries if e.timestamp >= at), None)

        return {tp: first(tp, at) for tp, at in times.items()}


async def high_watermarks(consumer, partitions):
    return {tp: consumer._log.partitions[tp.topic].end for tp in partitions}


async def discard_producer(producer, _seconds):
    await producer.discard()


async def discard_consumer(_consumer, _seconds):
    return
