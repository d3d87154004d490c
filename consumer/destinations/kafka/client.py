"""The client of topics: one producer, and another one after each failure."""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Sequence

from consumer.destinations.kafka import response
from consumer.destinations.kafka.cluster import connection_settings
from consumer.destinations.kafka.config import TopicConfig, cluster_name
from consumer.destinations.kafka.response import Place
from consumer.destinations.outcome import Outcome, Paused, Retry, Sent
from relay.config.kafka import KafkaConfig
from relay.credentials.redaction import Redactor
from relay.credentials.stores.stored_secret import stored_secrets_in
from relay.errors import RelayError, describe, one_line
from relay.kafka.external_topics import (
    KAFKA_FAILURES,
    NOT_SENT,
    BatchLimits,
    BatchProducer,
    ClusterAccess,
    KeyedRecord,
    OwnTopicError,
    WriteError,
    find_fault,
    new_producer,
    refuse_own_topics,
    start_producer,
)

BATCH_BYTES = 900_000
"""Bytes of a record batch before compression, with room for its head below a topic's default limit.

Source: max.message.bytes is 1,048,588 by default (Kafka, "Topic configs"). A longer record has a batch to itself.
"""
START_SHARE, WRITE_SHARE, LAST_SHARE, DIAGNOSIS_SHARE, PATIENCE_SHARE = 0.4, 0.85, 0.95, 0.2, 0.1
"""Shares of the time of a call: a producer has started; the wait for confirmations and the search for the cause of a failure end,
counted from the beginning of the call; the cause is found; an unanswered write is looked into."""
CLOSE_SECONDS = 3.0


class TopicClient:
    """Writes to topics, one call at a time, since records of an organization keep their order.

    A call ends within `timeout_seconds`, and raises nothing but CancelledError. Within it aiokafka repeats a batch under the
    same sequence number, so the broker stores it once. A producer that failed, or has records that nobody confirmed, is
    discarded: none of them is written after the call. The next call starts another one, and reads the files of secrets again.
    """

    def __init__(
        self,
        name: str,
        config: TopicConfig,
        topics: Sequence[str],
        timeout_seconds: float,
        settings: KafkaConfig | None = None,
    ) -> None:
        """`settings`: the connection until the first call reads it again; None: it is read now.

        Raises RelayError for settings that cannot work, among them a topic of the relay's own.
        """
        self._name = name
        self._config = config
        self._topics = topics
        self._timeout_seconds = timeout_seconds
        self._redact = Redactor()
        self._settings = settings or self._read_settings()
        if config.own is not None:
            refuse_own_topics(self._settings, config.own, topics)
        self._producer: BatchProducer | None = None
        self._writable: set[str] = set()
        """Topics that the producer may write to, as far as it asked."""
        self._limits: dict[str, BatchLimits] = {}
        self.connected = False
        """Whether the last attempt to start a producer succeeded."""
        self._lock = asyncio.Lock()
        self._discards: set[asyncio.Task[None]] = set()

    def apart(self, topic: str) -> "TopicClient":
        """Return another client, of one topic. No file is read."""
        return TopicClient(self._name, self._config, (topic,), self._timeout_seconds, self._settings)

    def disconnect(self) -> None:
        """Discard the producer, which has nothing to write; the next call starts another one."""
        if self._producer is not None:
            self._discard(self._producer)
            self._producer = None

    async def close(self) -> None:
        """End within two times `CLOSE_SECONDS` and a few more."""
        if self._producer is not None:
            await self._producer.discard(CLOSE_SECONDS)
        if self._discards:
            await asyncio.wait(self._discards, timeout=CLOSE_SECONDS)

    async def send(self, topic: str, records: Sequence[KeyedRecord]) -> Outcome:
        """Write records to a topic, in order. After a Retry they may be there nevertheless."""
        place, until = self._place(topic), time.monotonic() + WRITE_SHARE * self._timeout_seconds

        async def write() -> Outcome:
            async with self._lock:
                return await self._send(place, records, until)

        return await self._bounded(place, write)

    async def probe(self) -> Outcome:
        """Log in with a producer of its own, and ask for topics and rights. Nothing is written."""
        place = self._place(self._topics[0])

        async def ask() -> Outcome:
            started = await self._start(place)
            if isinstance(started, Retry | Paused):
                return started
            producer, access = started
            self._discard(producer)
            problem = response.access_problem(access, self._topics, self._name, place.cluster)
            remark = response.remark(access, self._topics)
            cluster = f"cluster {access.cluster_id}" if access.cluster_id else ""
            return problem or Sent(note="; ".join(filter(None, (cluster, remark))))

        return await self._bounded(place, ask)

    async def _bounded(self, place: Place, call: Callable[[], Awaitable[Outcome]]) -> Outcome:
        try:
            async with asyncio.timeout(self._timeout_seconds):
                return await call()
        except TimeoutError:
            return response.unconfirmed(place, self._timeout_seconds)
        except Exception as error:  # noqa: BLE001 - aiokafka raises more than it documents
            return Retry(f"A call to {place.cluster} failed: {one_line(self._redact(describe(error)))}.")

    async def _send(self, place: Place, records: Sequence[KeyedRecord], until: float) -> Outcome:
        if time.monotonic() >= until:
            return response.busy(place)
        if self._producer is None:
            started = await self._start(place)
            if isinstance(started, Retry | Paused):
                return started
            self._producer, access = started
            self._writable = self._without_problem(access, place)
        if place.topic not in self._writable and (problem := await self._look_up(place, self._producer)):
            return problem
        if time.monotonic() >= until:
            return response.busy(place)
        producer, initial = self._producer, BatchLimits(BATCH_BYTES)
        limits = self._limits.get(place.topic, initial)
        results: list[WriteError | None] = [NOT_SENT] * len(records)
        writing = asyncio.ensure_future(producer.write(place.topic, records, limits, results))
        writing.add_done_callback(_consume_exception)
        try:
            problem = await self._wait_for(writing, place, producer, until)
        finally:
            writing.cancel()
            if producer.failed or any(results):
                self._producer = None
                self._discard(producer)
        self._limits[place.topic] = response.next_limits(limits, results, initial)
        return response.classify(results, place, problem)

    async def _wait_for(
        self, writing: "asyncio.Future[None]", place: Place, producer: BatchProducer, until: float
    ) -> Retry | Paused | None:
        """Wait for a write, and return why the cluster does not answer it; None: it did, or the cause is not known."""
        started = time.monotonic()
        patience = min(PATIENCE_SHARE * self._timeout_seconds, max(0.0, until - started))
        await asyncio.wait({writing}, timeout=patience)
        problem: Retry | Paused | None = None
        if not writing.done():
            last = until + (LAST_SHARE - WRITE_SHARE) * self._timeout_seconds
            problem = await self._diagnose(place, last - time.monotonic())
            if not isinstance(problem, Paused):
                await asyncio.wait({writing}, timeout=max(0.0, until - time.monotonic()))
        if not writing.done():
            muted = max(0.0, producer.throttled_until - started)
            return problem or response.unconfirmed(place, self._timeout_seconds, muted)
        error = writing.exception()
        if error is None:
            return None
        if isinstance(error, ExceptionGroup):
            error = error.exceptions[0]
        if not isinstance(error, KAFKA_FAILURES):
            raise error
        return response.failure(error, place)

    async def _look_up(self, place: Place, producer: BatchProducer) -> Retry | Paused | None:
        """Return why a topic cannot be written to; None: it can now. It was absent or refused when the producer started."""
        try:
            async with asyncio.timeout(DIAGNOSIS_SHARE * self._timeout_seconds):
                access = await producer.read_access((place.topic,))
        except KAFKA_FAILURES as error:
            return response.failure(error, place)
        self._writable |= self._without_problem(access, place)
        return response.access_problem(access, (place.topic,), self._name, place.cluster)

    def _without_problem(self, access: ClusterAccess, place: Place) -> set[str]:
        return {
            topic
            for topic in access.topics
            if response.access_problem(access, (topic,), self._name, place.cluster) is None
        }

    async def _start(self, place: Place) -> tuple[BatchProducer, ClusterAccess] | Retry | Paused:
        """Return a producer, and what the brokers report of its topics; else why there is none."""
        producer, self.connected = None, False
        try:
            async with asyncio.timeout(START_SHARE * self._timeout_seconds):
                producer = self._new_producer()
                access = await start_producer(producer, self._config.own, self._topics)
            started, producer, self.connected = producer, None, True
            return started, access
        except OwnTopicError as error:
            return response.own_topic(str(error), self._name)
        except KAFKA_FAILURES as error:
            for secret in stored_secrets_in(self._config):
                secret.start_reread()
            if isinstance(error, RelayError):
                return response.unusable_settings(self._redact(str(error)))
            return await self._diagnose(place) or response.failure(error, place)
        finally:
            if producer is not None:
                self._discard(producer)

    def _new_producer(self) -> BatchProducer:
        """Raises RelayError with the settings of this destination, for files and settings that cannot be used."""
        self._settings = self._read_settings()
        client_id = f"jira-audit-relay-{self._name}"
        try:
            return new_producer(self._settings, client_id, self._config.compression)
        except RelayError as error:
            if self._config.bootstrap_servers is None:
                raise
            raise RelayError(response.in_settings_of(self._name, str(error))) from error

    async def _diagnose(self, place: Place, seconds: float = math.inf) -> Retry | Paused | None:
        """Connect step by step, and return what keeps the relay out; None: nothing, or that is not known in time."""
        fault = await find_fault(self._settings, min(DIAGNOSIS_SHARE * self._timeout_seconds, seconds))
        if fault is None:
            return None
        return response.unreachable(fault, place, own=self._config.bootstrap_servers is None)

    def _read_settings(self) -> KafkaConfig:
        settings = connection_settings(self._name, self._config)
        for secret in (settings.sasl_password, settings.oauth_client_secret):
            if secret is not None:
                self._redact.add(secret.get_secret_value())
        return settings

    def _place(self, topic: str) -> Place:
        return Place(self._name, topic, f"Kafka ({cluster_name(self._config)})")

    def _discard(self, producer: BatchProducer) -> None:
        """Stop a producer beside the next call."""
        task = asyncio.create_task(producer.discard(0))
        self._discards.add(task)
        task.add_done_callback(self._discards.discard)


def _consume_exception(ended: "asyncio.Future[None]") -> None:
    """Retrieve the error of a write that nobody waits for, so that asyncio does not log it."""
    if not ended.cancelled():
        ended.exception()
