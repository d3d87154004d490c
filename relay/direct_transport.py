"""A transport of httpx for thousands of hosts with a request a minute each: nothing is done per connection of another host.

httpx's own transport looks at each connection of its pool at each request, and reads and writes through two further libraries.
That is three quarters of the CPU time of such a request.
"""

import ssl
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass

import httpx

from relay.http_connection import HttpConnection
from relay.tls_sessions import Host, TlsSessions

SESSIONS = 200
"""Hosts of one transport whose TLS session is kept, in some 6 kB each."""


@dataclass(frozen=True, slots=True)
class KeptConnections:
    """How many connections without a request stay open, and for how many seconds."""

    most: int
    seconds: float


class DirectTransport(httpx.AsyncBaseTransport):
    """Sends requests without a body over HTTP/1.1 to their host, through no proxy.

    A connection is kept for the next request to its host. Callers bound the requests at a time. Raises the errors of httpx.
    """

    def __init__(self, context: ssl.SSLContext, kept: KeptConnections) -> None:
        context.set_alpn_protocols(["http/1.1"])
        self._sessions = TlsSessions(context, SESSIONS)
        self._kept = kept
        self._idle: dict[Host, tuple[HttpConnection, float]] = {}
        """With the time (monotonic) at which each is closed; the earliest first."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        url, seconds = request.url, request.extensions.get("timeout", {})
        # The ASCII form: a host in Unicode may be another one to the resolver and to TLS, which know the IDNA of 2003 alone.
        origin = url.scheme, url.raw_host.decode("ascii"), url.port
        kept = self._take(origin)
        connection = kept or await self._connect(origin, seconds.get("connect"))
        try:
            status, headers = await connection.request(
                request.method.encode(), url.raw_path, request.headers.raw, seconds.get("read")
            )
        except BaseException as error:
            broke = isinstance(error, httpx.ReadError | httpx.RemoteProtocolError)
            if broke and kept is None and connection.resumed:
                self._sessions.note_broken(origin)
            connection.close()
            raise
        body = _Body(self, origin, connection, seconds.get("read"))
        return httpx.Response(status, headers=list(headers), stream=body, request=request)

    async def _connect(self, origin: Host, seconds: float | None) -> HttpConnection:
        scheme, host, port = origin
        secure = scheme == "https"
        context = self._sessions.context_for(origin) if secure else None
        try:
            return await HttpConnection.open(host, port or (443 if secure else 80), context, seconds)
        except httpx.ConnectError as error:
            if isinstance(error.__cause__, ssl.SSLError | ConnectionResetError | ConnectionAbortedError):
                self._sessions.note_broken(origin)
            raise

    def _take(self, origin: Host) -> HttpConnection | None:
        self._close_expired()
        connection, _ = self._idle.pop(origin, (None, 0.0))
        if connection is None or (connection.reusable and connection.untouched):
            return connection
        connection.close()
        return None

    def _close_expired(self) -> None:
        now, idle = time.monotonic(), self._idle
        while idle and (len(idle) > self._kept.most or next(iter(idle.values()))[1] <= now):
            connection, _ = idle.pop(next(iter(idle)))
            connection.close()

    def give_back(self, origin: Host, connection: HttpConnection) -> None:
        """Keep a connection for the next request, if it can have one, in place of an older one to the same host.

        Its TLS session is kept also where it cannot.
        """
        self._sessions.keep(origin, connection.ssl_object)
        if not connection.reusable:
            connection.close()
            return
        if (older := self._idle.pop(origin, None)) is not None:
            older[0].close()
        self._idle[origin] = connection, time.monotonic() + self._kept.seconds
        self._close_expired()

    async def aclose(self) -> None:
        while self._idle:
            self._idle.popitem()[1][0].close()


class _Body(httpx.AsyncByteStream):
    def __init__(
        self, transport: DirectTransport, origin: Host, connection: HttpConnection, seconds: float | None
    ) -> None:
        self._transport = transport
        self._origin = origin
        self._connection: HttpConnection | None = connection
        self._seconds = seconds

    async def __aiter__(self) -> AsyncIterator[bytes]:
        if self._connection is not None:
            async for chunk in self._connection.body(self._seconds):
                yield chunk

    async def aclose(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            self._transport.give_back(self._origin, connection)
