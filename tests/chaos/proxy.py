"""A way to Kafka on which the wire can be cut, slowed, silenced, and on which a single request can be waited for."""

import asyncio
import contextlib
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Literal, Self

PRODUCE, OFFSET_COMMIT, JOIN_GROUP, END_TXN = 0, 8, 11, 26
"""Numbers of requests in Kafka's protocol."""

_SIZE = struct.Struct(">i")
_KEY = struct.Struct(">h")
_LINGER_0 = struct.pack("ii", 1, 0)


class Mode(Enum):
    OPEN = "open"
    REFUSED = "refused"
    """Connections are reset, new ones at once."""
    HOLE = "black hole"
    """Nothing passes, nothing is closed; what was sent arrives when the hole has closed, however late."""
    MUTE = "answers lost"
    """Requests pass, answers do not, and never will."""


Stage = Literal["instead", "before", "after", "answered"]
"""Of a request: it never reaches the broker, it is passed on when what happens allows it, the broker has it, the broker has
just answered it."""


@dataclass(frozen=True, slots=True)
class Trap:
    act: Callable[[], None]
    stage: Stage
    pause_seconds: float
    sprung: asyncio.Event


class Proxy:
    """One client's way to the broker at `target`; listens on `port`."""

    def __init__(self, port: int, target: int) -> None:
        self.port = port
        self.delay_seconds = 0.0
        self._target = target
        self._mode = Mode.OPEN
        self._passable = asyncio.Event()
        self._passable.set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self._traps: dict[int, Trap] = {}

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._server is not None:
            self._server.close()
        self.cut()
        for task in list(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=2)

    @property
    def mode(self) -> Mode:
        return self._mode

    def set(self, mode: Mode) -> None:
        left, self._mode = self._mode, mode
        if mode is Mode.HOLE:
            self._passable.clear()
        else:
            self._passable.set()
        if Mode.REFUSED is mode or Mode.MUTE is left:
            self.cut()

    def cut(self) -> None:
        """Reset every connection there is."""
        for writer in list(self._writers):
            with contextlib.suppress(OSError):
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_0)
            writer.transport.abort()

    async def trapped(
        self, request: int, act: Callable[[], None], stage: Stage, pause_seconds: float, within: float
    ) -> bool:
        """`act` when the next request of this kind comes, a pause later if it is after; False: none came `within` seconds."""
        trap = Trap(act, stage, pause_seconds, asyncio.Event())
        self._traps[request] = trap
        try:
            async with asyncio.timeout(within):
                await trap.sprung.wait()
        except TimeoutError:
            return False
        finally:
            if self._traps.get(request) is trap:
                del self._traps[request]
        return True

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if (task := asyncio.current_task()) is not None:
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        self._writers.add(writer)
        try:
            if self._mode is Mode.REFUSED:
                return
            await self._passable.wait()
            with contextlib.suppress(OSError, EOFError, asyncio.CancelledError):
                await self._join(reader, writer)
        finally:
            self._writers.discard(writer)
            writer.transport.abort()

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", self._target)
        waiting: list[Trap] = []
        ways = {
            asyncio.create_task(self._requests(reader, back, waiting)),
            asyncio.create_task(self._answers(there, writer, waiting)),
        }
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            back.transport.abort()
            for way in ways:
                way.cancel()
            await asyncio.wait(ways)

    async def _requests(
        self, reader: asyncio.StreamReader, back: asyncio.StreamWriter, waiting: list[Trap]
    ) -> None:
        with contextlib.suppress(OSError, EOFError):
            while True:
                head = await reader.readexactly(_SIZE.size)
                body = await reader.readexactly(_SIZE.unpack(head)[0])
                await self._linger()
                trap = self._traps.pop(_KEY.unpack_from(body)[0], None)
                if trap is not None and trap.stage == "answered":
                    waiting.append(trap)
                elif trap is not None and trap.stage != "after":
                    await self._spring(trap)
                    await self._passable.wait()
                back.write(head + body)
                await back.drain()
                if trap is not None and trap.stage == "after":
                    await asyncio.sleep(trap.pause_seconds)
                    await self._spring(trap)

    async def _spring(self, trap: Trap) -> None:
        trap.act()
        trap.sprung.set()
        if trap.stage == "instead":
            raise ConnectionAbortedError

    async def _answers(
        self, there: asyncio.StreamReader, writer: asyncio.StreamWriter, waiting: list[Trap]
    ) -> None:
        with contextlib.suppress(OSError, EOFError):
            while data := await there.read(65_536):
                if waiting:
                    await self._spring(waiting.pop())
                await self._linger()
                if self._mode is not Mode.MUTE:
                    writer.write(data)
                    await writer.drain()

    async def _linger(self) -> None:
        if self.delay_seconds:
            await asyncio.sleep(self.delay_seconds)
        await self._passable.wait()
