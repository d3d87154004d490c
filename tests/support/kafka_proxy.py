"""A proxy in front of Kafka that can reset, delay or drop the traffic, and act at a single request."""

import asyncio
import contextlib
import socket
import struct
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from enum import Enum
from typing import Any, Literal, Self

PRODUCE, OFFSET_COMMIT, JOIN_GROUP, END_TXN = 0, 8, 11, 26
"""Numbers of requests in Kafka's protocol."""

_SIZE = struct.Struct(">i")
_API_KEY = struct.Struct(">h")
_LINGER_0 = struct.pack("ii", 1, 0)


class ProxyMode(Enum):
    OPEN = "open"
    REFUSED = "refused"
    """Connections are reset, new ones at once."""
    BLACK_HOLE = "black hole"
    """Nothing passes, and no connection is closed; sent data arrives once the mode changes."""
    DROP_RESPONSES = "answers lost"
    """Requests pass, and answers are dropped."""


Stage = Literal["instead", "before", "after", "answered"]
"""When the action runs: instead of passing the request on, before that, after that, or when the broker has answered it."""


@dataclass(frozen=True, slots=True)
class RequestTrap:
    action: Callable[[], None]
    stage: Stage
    pause_seconds: float
    triggered: asyncio.Event


class KafkaProxy:
    """Forwards connections to `port` to the broker at `broker_port`; `others` are further pairs, for more brokers."""

    def __init__(self, port: int, broker_port: int, *others: tuple[int, int]) -> None:
        self.port = port
        self.delay_seconds = 0.0
        self._routes = ((port, broker_port), *others)
        self._mode = ProxyMode.OPEN
        self._open_event = asyncio.Event()
        self._open_event.set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._servers: list[asyncio.Server] = []
        self._traps: dict[int, RequestTrap] = {}

    async def __aenter__(self) -> Self:
        for port, broker_port in self._routes:
            self._servers.append(await asyncio.start_server(self._accept(broker_port), "127.0.0.1", port))
        return self

    async def __aexit__(self, *_: object) -> None:
        for server in self._servers:
            server.close()
        self.reset_connections()
        for task in list(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=2)

    @property
    def addresses(self) -> str:
        """All addresses, as `kafka.bootstrap` takes them."""
        return ",".join(f"127.0.0.1:{port}" for port, _ in self._routes)

    @property
    def mode(self) -> ProxyMode:
        return self._mode

    def set_mode(self, mode: ProxyMode) -> None:
        previous, self._mode = self._mode, mode
        if mode is ProxyMode.BLACK_HOLE:
            self._open_event.clear()
        else:
            self._open_event.set()
        if ProxyMode.REFUSED is mode or ProxyMode.DROP_RESPONSES is previous:
            self.reset_connections()

    def reset_connections(self) -> None:
        """Reset every open connection."""
        for writer in list(self._writers):
            with contextlib.suppress(OSError):
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_0)
            writer.transport.abort()

    async def run_at_request(
        self,
        request: int,
        action: Callable[[], None],
        stage: Stage,
        pause_seconds: float,
        timeout_seconds: float,
    ) -> bool:
        """Run `action` at the next request of this kind, after a pause when the stage is "after". False: no request within the timeout."""
        trap = RequestTrap(action, stage, pause_seconds, asyncio.Event())
        self._traps[request] = trap
        try:
            async with asyncio.timeout(timeout_seconds):
                await trap.triggered.wait()
        except TimeoutError:
            return False
        finally:
            if self._traps.get(request) is trap:
                del self._traps[request]
        return True

    def _accept(
        self, broker_port: int
    ) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Coroutine[Any, Any, None]]:
        async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            if (task := asyncio.current_task()) is not None:
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
            self._writers.add(writer)
            try:
                if self._mode is ProxyMode.REFUSED:
                    return
                await self._open_event.wait()
                with contextlib.suppress(OSError, EOFError, asyncio.CancelledError):
                    await self._forward(reader, writer, broker_port)
            finally:
                self._writers.discard(writer)
                writer.transport.abort()

        return accept

    async def _forward(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, broker_port: int
    ) -> None:
        broker_reader, broker_writer = await asyncio.open_connection("127.0.0.1", broker_port)
        waiting: list[RequestTrap] = []
        directions = {
            asyncio.create_task(self._forward_requests(reader, broker_writer, waiting)),
            asyncio.create_task(self._forward_responses(broker_reader, writer, waiting)),
        }
        try:
            await asyncio.wait(directions, return_when=asyncio.FIRST_COMPLETED)
        finally:
            broker_writer.transport.abort()
            for direction in directions:
                direction.cancel()
            await asyncio.wait(directions)

    async def _forward_requests(
        self, reader: asyncio.StreamReader, broker_writer: asyncio.StreamWriter, waiting: list[RequestTrap]
    ) -> None:
        with contextlib.suppress(OSError, EOFError):
            while True:
                head = await reader.readexactly(_SIZE.size)
                body = await reader.readexactly(_SIZE.unpack(head)[0])
                await self._delay()
                trap = self._traps.pop(_API_KEY.unpack_from(body)[0], None)
                if trap is not None and trap.stage == "answered":
                    waiting.append(trap)
                elif trap is not None and trap.stage != "after":
                    await self._trigger(trap)
                    await self._open_event.wait()
                broker_writer.write(head + body)
                await broker_writer.drain()
                if trap is not None and trap.stage == "after":
                    await asyncio.sleep(trap.pause_seconds)
                    await self._trigger(trap)

    async def _trigger(self, trap: RequestTrap) -> None:
        trap.action()
        trap.triggered.set()
        if trap.stage == "instead":
            raise ConnectionAbortedError

    async def _forward_responses(
        self, broker_reader: asyncio.StreamReader, writer: asyncio.StreamWriter, waiting: list[RequestTrap]
    ) -> None:
        with contextlib.suppress(OSError, EOFError):
            while data := await broker_reader.read(65_536):
                if waiting:
                    await self._trigger(waiting.pop())
                await self._delay()
                if self._mode is not ProxyMode.DROP_RESPONSES:
                    writer.write(data)
                    await writer.drain()

    async def _delay(self) -> None:
        if self.delay_seconds:
            await asyncio.sleep(self.delay_seconds)
        await self._open_event.wait()
