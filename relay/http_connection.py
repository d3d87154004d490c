"""One connection of HTTP/1.1 for requests without a body, one at a time. h11 writes and reads the protocol."""

import asyncio
import ipaddress
import select
import ssl
from collections.abc import AsyncIterator, Sequence
from typing import Self, cast

import h11
import httpx

MAX_HEAD_BYTES = 100 * 1024
"""The largest head of an answer; httpcore has the same bound."""
MAX_BUFFERED_BYTES = 256 * 1024
"""Bytes that wait to be read; while there are more, nothing is taken from the socket."""

EVENTS_A_TURN = 500
"""Parts of answers that are read before other tasks have a turn: a server may send its bytes one a chunk, or hints without end."""

RACE_SECONDS = 0.25
"""Between the addresses of a name, as RFC 8305, section 5, recommends. One address has no race: asyncio needs a task for it, and
where that is cancelled as it ends, leaves its socket open."""

NO_ANSWER = "the server closed the connection without an answer"

RawHeaders = Sequence[tuple[bytes, bytes]]


class HttpConnection(asyncio.Protocol):
    """A connection to one host. Its errors are those of httpx, with the error of the socket or of TLS as their cause."""

    def __init__(self) -> None:
        self._http = h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_HEAD_BYTES)
        self._transport: asyncio.Transport | None = None
        self._arrived: asyncio.Future[None] | None = None
        """Of the reader that waits for bytes. None: nobody waits."""
        self._buffered = 0
        self._events = 0
        self._ended = False
        self._fault: Exception | None = None

    @classmethod
    async def open(cls, host: str, port: int, context: ssl.SSLContext | None, seconds: float | None) -> Self:
        """Connect within `seconds`. `context` None: without TLS. Raises httpx.ConnectError and httpx.ConnectTimeout."""
        try:
            async with asyncio.timeout(seconds):
                _, connection = await asyncio.get_running_loop().create_connection(
                    cls,
                    host,
                    port,
                    ssl=context,
                    server_hostname=host if context else None,
                    happy_eyeballs_delay=None if _is_address(host) else RACE_SECONDS,
                )
        except TimeoutError as error:
            raise httpx.ConnectTimeout(str(error)) from error
        except OSError as error:
            raise httpx.ConnectError(str(error)) from error
        return connection

    @property
    def reusable(self) -> bool:
        """Whether another request may follow: the answer is whole, nothing came behind it, and the server keeps the connection."""
        http = self._http
        answered = http.our_state in {h11.IDLE, h11.DONE} and http.their_state in {h11.IDLE, h11.DONE}
        return answered and not self._ended and not http.trailing_data[0]

    @property
    def ssl_object(self) -> ssl.SSLObject | None:
        """The state of TLS; None: the connection is in clear."""
        return None if self._transport is None else self._transport.get_extra_info("ssl_object")

    @property
    def resumed(self) -> bool:
        """Whether it has resumed a TLS session."""
        tls = self.ssl_object
        return tls is not None and bool(tls.session_reused)

    @property
    def untouched(self) -> bool:
        """Whether the server has neither closed it nor sent anything that the loop takes only at its next turn."""
        if self._transport is None or self._transport.is_closing():
            return False
        poll = select.poll()
        poll.register(self._transport.get_extra_info("socket"), select.POLLIN)
        return not poll.poll(0)

    async def request(
        self, method: bytes, target: bytes, headers: RawHeaders, seconds: float | None
    ) -> tuple[int, RawHeaders]:
        """Send a request, and return status and headers of its answer. `seconds`: to each part of the answer."""
        if self._http.our_state is h11.DONE:
            self._http.start_next_cycle()
        try:
            head = self._http.send(h11.Request(method=method, target=target, headers=list(headers)))
            end = self._http.send(h11.EndOfMessage())
        except h11.LocalProtocolError as error:
            raise httpx.LocalProtocolError(str(error)) from error
        if self._transport is not None:
            self._transport.write((head or b"") + (end or b""))
        while True:
            event = await self._next_event(seconds)
            if isinstance(event, h11.Response):
                return event.status_code, event.headers.raw_items()

    async def body(self, seconds: float | None) -> AsyncIterator[bytes]:
        """Yield the body of the answer as it comes, to its end."""
        while isinstance(event := await self._next_event(seconds), h11.Data):
            yield bytes(event.data)

    def close(self) -> None:
        """Close it at once. Nothing waits to be sent once an answer has come, or is given up."""
        if self._transport is not None:
            self._transport.abort()

    async def _next_event(self, seconds: float | None) -> h11.Event | type[h11.NEED_DATA | h11.PAUSED]:
        """Return the next part of the answer. Raises httpx.ReadTimeout, ReadError and RemoteProtocolError."""
        while True:
            unanswered = self._http.their_state is h11.SEND_RESPONSE
            try:
                event = self._http.next_event()
            except h11.RemoteProtocolError as error:
                ended = unanswered and self._ended and not self._http.trailing_data[0]
                raise httpx.RemoteProtocolError(NO_ANSWER if ended else str(error)) from error
            if event is not h11.NEED_DATA:
                self._events += 1
                if self._events % EVENTS_A_TURN == 0:
                    await asyncio.sleep(0)
                return event
            if self._fault is not None:
                raise httpx.ReadError(str(self._fault)) from self._fault
            await self._wait_for_bytes(seconds)

    async def _wait_for_bytes(self, seconds: float | None) -> None:
        if self._buffered > MAX_BUFFERED_BYTES and self._transport is not None:
            self._transport.resume_reading()
        self._buffered = 0
        self._arrived = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(seconds):
                await self._arrived
        except TimeoutError as error:
            raise httpx.ReadTimeout("no bytes in time") from error
        finally:
            self._arrived = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._http.receive_data(data)
        self._buffered += len(data)
        if self._buffered > MAX_BUFFERED_BYTES and self._transport is not None:
            self._transport.pause_reading()
        self._wake()

    def eof_received(self) -> None:
        self._end(None)

    def connection_lost(self, exc: Exception | None) -> None:
        self._end(exc)

    def _end(self, fault: Exception | None) -> None:
        """Let h11 find out whether the answer is whole without further bytes. A broken connection is the end of no answer."""
        if not self._ended:
            self._ended, self._fault = True, fault
            if fault is None:
                self._http.receive_data(b"")
        self._wake()

    def _wake(self) -> None:
        if self._arrived is not None and not self._arrived.done():
            self._arrived.set_result(None)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
