"""A connection for many POST requests of one kind: the head is made once, and the usual answer takes no parser.

h11 and the objects of an HTTP client take most of the CPU time of such a request. Each answer but a plain 204 goes to h11.
"""

import re
from collections.abc import AsyncIterator

import h11
import httpx

from relay.http_connection import HttpConnection

_ACCEPTED = re.compile(
    rb"HTTP/1\.1 204 [^\r\n\0]*\r\n"
    rb"(?:(?!connection:|transfer-encoding:|upgrade:)[!#$%&'*+.^_`|~0-9a-z-]+:[^\r\n\0]*\r\n)*\r\n",
    re.IGNORECASE,
)
"""A whole head that ends its answer (RFC 9110, 15.3.5: a 204 has no content) and leaves the connection as it is, and no more."""


class PostConnection(HttpConnection):
    """Sends one request at a time. Its errors are those of HttpConnection."""

    def __init__(self) -> None:
        super().__init__()
        self._awaits_answer = False
        self._accepted = False

    @property
    def reusable(self) -> bool:
        """Whether another request may follow: as for any connection, and none of the last one waits here.

        Below TLS it may wait nevertheless: asyncio does not tell how much.
        """
        return super().reusable and not (self._transport and self._transport.get_write_buffer_size())

    async def post(self, head: bytes, content: bytes, seconds: float | None) -> httpx.Response:
        """Send a request, and return its answer; the content must be read if the status is not 204.

        `head`: the request line and the headers, without Content-Length. `seconds`: to each part of the answer.
        """
        self._awaits_answer, self._accepted = True, False
        if self._transport is not None:
            self._transport.write(b"%bContent-Length: %d\r\n\r\n%b" % (head, len(content), content))
        if not self._ended:
            await self._wait_for_bytes(seconds)
        self._awaits_answer = False
        return httpx.Response(204) if self._accepted else await self._parse(seconds)

    async def _parse(self, seconds: float | None) -> httpx.Response:
        if self._http.our_state is h11.DONE:
            self._http.start_next_cycle()
        # h11 reads an answer behind a request alone. What it would have written was sent, so any request does.
        self._http.send(
            h11.Request(method=b"POST", target=b"/", headers=[(b"Host", b"-"), (b"Content-Length", b"0")])
        )
        self._http.send(h11.EndOfMessage())
        while not isinstance(event := await self._next_event(seconds), h11.Response):
            continue
        if event.status_code == httpx.codes.NO_CONTENT:
            await self._next_event(seconds)  # its end
        headers = event.headers.raw_items()
        return httpx.Response(event.status_code, headers=headers, stream=_Body(self, seconds))

    def data_received(self, data: bytes) -> None:
        if self._awaits_answer and not self._buffered and _ACCEPTED.fullmatch(data):
            self._awaits_answer, self._accepted = False, True
            self._wake()
        else:
            self._awaits_answer = False  # the rest of this answer belongs to the same parser
            super().data_received(data)


class _Body(httpx.AsyncByteStream):
    def __init__(self, connection: PostConnection, seconds: float | None) -> None:
        self._connection = connection
        self._seconds = seconds

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in self._connection.body(self._seconds):
            yield chunk
