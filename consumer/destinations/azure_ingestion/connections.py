"""The connections to the endpoint of a rule: each is kept for the next request."""

import time
from collections.abc import Mapping

import httpx

from consumer.destinations.azure_ingestion.response import IngestionResponse
from relay.http import create_tls_context
from relay.http_body import ACCEPT_ENCODING, bounded
from relay.post_connection import PostConnection
from relay.url_policy import parse_origin

CONNECT_SECONDS, READ_SECONDS = 10.0, 60.0
KEPT_SECONDS = 15.0
"""How long a connection without a request stays open."""
MAX_ANSWER_BYTES = 1024 * 1024
"""The largest answer that is read, decompressed. An error has some kilobytes."""
BEGINNING_BYTES = 4_096
"""What is kept of an error that is longer, or is compressed in another way than it says: its status decides."""


class PostConnections:
    """Connections of HTTP/1.1 to one host, through no proxy; as many as there are requests at a time."""

    def __init__(self, endpoint: str) -> None:
        """Raises SettingsError for a wrong variable of CA certificates."""
        self._origin = parse_origin(endpoint)
        self._context = create_tls_context() if self._origin.scheme == "https" else None
        self._idle: list[tuple[PostConnection, float]] = []
        """With the time (monotonic) at which each is closed; the earliest first."""

    def close(self) -> None:
        while self._idle:
            self._idle.pop()[0].close()

    async def post(self, path: str, headers: Mapping[str, str], content: bytes) -> IngestionResponse:
        """Send one request, and return its whole answer. Raises httpx.HTTPError; nothing is sent twice."""
        head = _head(path, {"Host": self._origin.authority, "Accept-Encoding": ACCEPT_ENCODING, **headers})
        connection = self._take() or await self._open()
        try:
            response = await connection.post(head, content, READ_SECONDS)
            received = b"" if response.status_code == httpx.codes.NO_CONTENT else await _read(response)
        except BaseException:
            connection.close()
            raise
        self._give_back(connection)
        return IngestionResponse(response.status_code, response.headers, received)

    async def _open(self) -> PostConnection:
        origin = self._origin
        try:
            return await PostConnection.open(origin.host, origin.port_number, self._context, CONNECT_SECONDS)
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            reason = str(error) or f"none within {CONNECT_SECONDS:g} s"
            raise type(error)(f"no connection to {origin.authority}: {reason}") from error

    def _take(self) -> PostConnection | None:
        """Return the connection that was used last, which most probably is still open; None: there is none."""
        self._close_expired()
        while self._idle:
            connection, _ = self._idle.pop()
            if connection.reusable and connection.untouched:
                return connection
            connection.close()
        return None

    def _give_back(self, connection: PostConnection) -> None:
        if connection.reusable:
            self._idle.append((connection, time.monotonic() + KEPT_SECONDS))
        else:
            connection.close()
        self._close_expired()

    def _close_expired(self) -> None:
        while self._idle and self._idle[0][1] <= time.monotonic():
            self._idle.pop(0)[0].close()


def _head(path: str, headers: Mapping[str, str]) -> bytes:
    """Return the request line and the headers. Raises ValueError for a character that would end one of them, or is not ASCII."""
    lines = [f"POST {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    if not all(map(str.isprintable, lines)):
        raise ValueError("a header of the request has a line break or another control character")
    return "\r\n".join((*lines, "")).encode("ascii")


async def _read(response: httpx.Response) -> bytes:
    """Return the content; of an error that is longer than MAX_ANSWER_BYTES, or not compressed as it says, the beginning.

    Raises httpx.DecodingError for such a success: its content would say whether the rows were accepted.
    """
    found = bytearray()
    try:
        # Decompressed twice as far as needed, so that of a longer error the beginning is known.
        async for piece in bounded(response, 2 * MAX_ANSWER_BYTES).aiter_raw():
            found += piece
            if len(found) > MAX_ANSWER_BYTES:
                raise httpx.DecodingError(f"the answer has more than {MAX_ANSWER_BYTES} bytes")
    except httpx.DecodingError:
        if response.is_success:
            raise
        return bytes(found[:BEGINNING_BYTES])
    return bytes(found)
