"""The broker: connections, logins, and the requests of a producer."""

import asyncio
import contextlib
import secrets
from collections.abc import Callable, Iterable
from typing import Self

from simulators.kafka import wire
from simulators.kafka.records import StoredRecord, UnsupportedCodecError, read_batch
from simulators.kafka.topics import Partition, Topic, Verdict
from simulators.kafka.wire import Reader

HOST = "127.0.0.1"
PRODUCE, METADATA, HANDSHAKE, API_VERSIONS, INIT_PRODUCER_ID, DESCRIBE_CONFIGS, AUTHENTICATE = (
    0,
    3,
    17,
    18,
    22,
    32,
    36,
)
_VERSIONS = {
    PRODUCE: (3, 8),
    METADATA: (1, 8),
    HANDSHAKE: (0, 1),
    API_VERSIONS: (0, 2),
    INIT_PRODUCER_ID: (0, 1),
    DESCRIBE_CONFIGS: (0, 0),
    AUTHENTICATE: (0, 0),
}
UNKNOWN_TOPIC, TOPIC_REFUSED, SASL_STATE, LOGIN_FAILED, CORRUPT, CODEC, UNSUPPORTED_VERSION = (
    3,
    29,
    34,
    58,
    2,
    76,
    35,
)
_DESCRIBE, _WRITE, _DESCRIBE_CONFIGS = 1 << 8, 1 << 4, 1 << 10


class SimulatedKafka:
    """One broker with topics, each of one partition unless `add_topic` says otherwise.

    `password` None: connections need no login; else user `relay` logs in by SASL PLAIN.
    """

    def __init__(self, topics: Iterable[str] = (), password: str | None = None) -> None:
        self.topics: dict[str, Topic] = {}
        self.password = password
        self.cluster_id = secrets.token_urlsafe(16)
        self.port = 0
        self.refusals: list[int] = []
        """Error codes of the next produce requests."""
        self.refuses_all = 0
        """Error code of every produce request; 0: none."""
        self.versions = dict(_VERSIONS)
        """The lowest and the highest version of each request that it serves."""
        self.max_request_bytes = 100 * 1024 * 1024
        """A larger request ends the connection (socket.request.max.bytes)."""
        self.produced = 0
        """Produce requests that came."""
        self.answers_left: int | None = None
        """How many more produce requests are answered; None: all. Those behind them are obeyed."""
        self.shows_settings = False
        """Whether the user has DescribeConfigs on the topics."""
        self.greets = True
        """Whether a new connection is served; else it waits."""
        self._holds = False
        self._loses_answers = False
        self._producer_ids = 0
        self._server: asyncio.Server | None = None
        self._connections: dict[asyncio.Task[None], asyncio.StreamWriter] = {}
        for name in topics:
            self.add_topic(name)

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, HOST, self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._server is not None:
            self._server.close()
        self.close_connections()
        if self._connections:
            await asyncio.wait(self._connections, timeout=5)

    @property
    def bootstrap(self) -> str:
        return f"{HOST}:{self.port}"

    def add_topic(self, name: str, partitions: int = 1) -> Topic:
        topic = self.topics[name] = Topic([Partition() for _ in range(partitions)])
        return topic

    def stored(self, topic: str) -> list[StoredRecord]:
        """Return the records of a topic in the order of their arrival."""
        return self.topics[topic].arrived

    def stored_uids(self, topic: str) -> list[str]:
        return [record.uid for record in self.stored(topic)]

    def set_password(self, password: str | None) -> None:
        """Change the password of the user, and close each connection, so that every client logs in again."""
        self.password = password
        self.close_connections()

    def hold(self) -> Callable[[], None]:
        """Leave each produce request without effect and answer; returns how to serve later ones."""
        self._holds = True
        return lambda: setattr(self, "_holds", False)

    def lose_answers(self) -> Callable[[], None]:
        """Obey produce requests and do not answer; returns how to answer later ones."""
        self._loses_answers = True
        return lambda: setattr(self, "_loses_answers", False)

    def close_connections(self) -> None:
        for task, writer in self._connections.items():
            writer.transport.abort()
            task.cancel()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101
        self._connections[task] = writer
        try:
            with contextlib.suppress(OSError, EOFError, ValueError, asyncio.CancelledError):
                if not self.greets:
                    await reader.read()
                await self._serve(reader, writer)
        finally:
            del self._connections[task]
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request after the other, as a broker does. A client without a login may ask for versions and log in."""
        logged_in = self.password is None
        while True:
            size = int.from_bytes(await reader.readexactly(4), "big")
            if size > self.max_request_bytes:
                return
            request = Reader(await reader.readexactly(size))
            key, version, correlation = request.number("h"), request.number("h"), request.number("i")
            request.text()
            answer: bytes | None
            if key == AUTHENTICATE:
                logged_in, answer = self._authenticate(request)
            elif key in {HANDSHAKE, API_VERSIONS} or logged_in:
                answer = self._answer(key, version, request)
            else:
                return
            if answer is None:
                continue
            writer.write(wire.data(wire.number("i", correlation) + answer))
            await writer.drain()
            if key == AUTHENTICATE and not logged_in:
                return

    def _answer(self, key: int, version: int, request: Reader) -> bytes | None:
        """Return the answer; None: there is none."""
        match key:
            case _ if key == API_VERSIONS:
                return self._api_versions(version)
            case _ if key == HANDSHAKE:
                code = 0 if self.password is not None else SASL_STATE
                return wire.number("h", code) + wire.array([wire.text("PLAIN")])
            case _ if key == METADATA:
                return self._metadata(version, request)
            case _ if key == INIT_PRODUCER_ID:
                self._producer_ids += 1
                return wire.number("ihqh", 0, 0, self._producer_ids, 0)
            case _ if key == DESCRIBE_CONFIGS:
                return self._describe_configs(request)
            case _ if key == PRODUCE:
                return self._produce(version, request)
            case _:
                raise ValueError(f"no request {key}")

    def _api_versions(self, version: int) -> bytes:
        """Return the versions of each request; to a newer client in the oldest form, with an error (KIP-511)."""
        known = version <= self.versions[API_VERSIONS][1]
        spans = wire.array(wire.number("hhh", each, *span) for each, span in self.versions.items())
        throttle = wire.number("i", 0) if known and version >= 1 else b""
        return wire.number("h", 0 if known else UNSUPPORTED_VERSION) + spans + throttle

    def _authenticate(self, request: Reader) -> tuple[bool, bytes]:
        _, user, password = (request.data() or b"").decode().split("\0")
        if (user, password) == ("relay", self.password):
            return True, wire.number("h", 0) + wire.text(None) + wire.data(b"")
        failed = "Authentication failed: Invalid username or password"
        return False, wire.number("h", LOGIN_FAILED) + wire.text(failed) + wire.data(b"")

    def _metadata(self, version: int, request: Reader) -> bytes:
        names = request.list(request.text)
        asked = self.topics if names is None else [name or "" for name in names]
        broker = wire.number("i", 1) + wire.text(HOST) + wire.number("i", self.port) + wire.text(None)
        throttle = wire.number("i", 0) if version >= 3 else b""
        cluster = wire.text(self.cluster_id) if version >= 2 else b""
        topics = wire.array(self._topic_metadata(version, name) for name in asked)
        operations = wire.number("i", -(2**31)) if version >= 8 else b""
        return throttle + wire.array([broker]) + cluster + wire.number("i", 1) + topics + operations

    def _topic_metadata(self, version: int, name: str) -> bytes:
        topic = self.topics.get(name)
        code = UNKNOWN_TOPIC if topic is None else 0
        partitions = [] if topic is None else range(len(topic.partitions))
        replicas = wire.array([wire.number("i", 1)])
        found = wire.number("h", code) + wire.text(name) + wire.number("b", 0)
        found += wire.array(
            wire.number("hii", 0, number, 1)
            + (wire.number("i", 0) if version >= 7 else b"")
            + replicas
            + replicas
            + (wire.array([]) if version >= 5 else b"")
            for number in partitions
        )
        if version >= 8:
            write = _WRITE if topic is not None and topic.writable else 0
            settings = _DESCRIBE_CONFIGS if self.shows_settings else 0
            found += wire.number("i", _DESCRIBE | write | settings)
        return found

    def _describe_configs(self, request: Reader) -> bytes:
        def resource() -> bytes:
            kind, name = request.number("b"), request.text() or ""
            request.list(request.text)
            topic = self.topics.get(name)
            policy = "" if topic is None else topic.policy
            entry = wire.text("cleanup.policy") + wire.text(policy) + wire.number("bbb", 0, 0, 0)
            head = wire.number("h", 0 if topic else UNKNOWN_TOPIC) + wire.text(None) + wire.number("b", kind)
            return head + wire.text(name) + wire.array([entry] if topic else [])

        return wire.number("i", 0) + wire.array(request.list(resource) or [])

    def _produce(self, version: int, request: Reader) -> bytes | None:
        self.produced += 1
        if self._holds:
            return None
        request.text()
        request.number("h")
        request.number("i")
        refusal = self.refusals.pop(0) if self.refusals else self.refuses_all

        def partition(name: str) -> bytes:
            number, content = request.number("i"), request.data() or b""
            verdict = Verdict(refusal) if refusal else self._store(name, number, content)
            return _partition_answer(version, number, verdict)

        def topic() -> bytes:
            name = request.text() or ""
            return wire.text(name) + wire.array(request.list(lambda: partition(name)) or [])

        answer = wire.array(request.list(topic) or []) + wire.number("i", 0)
        if self.answers_left is not None:
            self.answers_left -= 1
            if self.answers_left < 0:
                return None
        return None if self._loses_answers else answer

    def _store(self, name: str, number: int, content: bytes) -> Verdict:
        topic = self.topics.get(name)
        if topic is None or number >= len(topic.partitions):
            return Verdict(UNKNOWN_TOPIC)
        if not topic.writable:
            return Verdict(TOPIC_REFUSED)
        try:
            return topic.store(number, read_batch(content))
        except UnsupportedCodecError:
            return Verdict(CODEC)
        except ValueError:
            return Verdict(CORRUPT)


def _partition_answer(version: int, number: int, verdict: Verdict) -> bytes:
    found = wire.number("ihqq", number, verdict.code, verdict.offset, -1)
    if version >= 5:
        found += wire.number("q", 0)
    if version >= 8:
        found += wire.array(wire.number("i", place) + wire.text(why) for place, why in verdict.blamed.items())
        found += wire.text(None)
    return found
