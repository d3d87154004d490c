"""A server whose answers are odd in status, headers, encoding and length."""

import asyncio
import contextlib
import gzip
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

_STATUSES = (200, 202, 204, 207, 301, 400, 401, 403, 404, 409, 413, 418, 422, 429, 500, 503, 599, 999, 20, 0)
_HEADERS = (
    b"Date: Sun, 06 Nov 1994 08:49:37",
    b"Date: never",
    b"Date: " + b"9" * 200,
    b"Retry-After: 1e400",
    b"Retry-After: -inf",
    b"Retry-After: Sun, 99 Nov 99999 99:99:99 GMT",
    b"Retry-After: \xff\xfe",
    b"retry-after-ms: nan",
    b"x-ms-retry-after-ms: inf",
    b"Content-Encoding: gzip",
    b"Content-Encoding: br",
    b"Content-Encoding: deflate, gzip",
    b"Content-Type: application/json; charset=no-such-charset",
    b"Content-Type: \xff/\xfe",
    b"Transfer-Encoding: chunked",
    b"Location: http://[::1",
    b"Location: javascript:1",
    b"Set-Cookie: a=\x01; domain=.",
    b"Set-Cookie: a=\xff",
    b"x-ms-error-code: \xe4\xf6",
    b"No colon here",
    b": empty name",
)
_BODIES = (
    b"",
    b"{}",
    b"[]",
    b"null",
    b'{"error": null}',
    b'{"error": {"code": 5, "message": {"a": 1}}}',
    b'{"id": 99999999999999999999}',
    b'{"id": -1}',
    b'{"id": true}',
    b'{"id": 1.5}',
    b'{"schema": 5}',
    b'{"schema": "{\\"type\\": \\"record\\", \\"name\\": 5, \\"fields\\": 7}"}',
    b'{"compatibilityLevel": []}',
    b'{"messages": 5, "is_compatible": "no"}',
    b'{"error_code": "40403", "message": ["x"]}',
    b"[" * 5000,
    b"\xff" * 300,
    b'{"message": "\\ud800"}',
    gzip.compress(b'{"id": 7}'),
    gzip.compress(b'{"id": 7}')[:-6],
    b"5\r\nhello\r\n0\r\n\r\n",
    b"ffffffffffffffffffff\r\nx",
)


def odd_answer(chance: random.Random) -> bytes:
    """Return the bytes of one answer; some are no HTTP."""
    if chance.random() < 0.05:
        return chance.choice(
            (b"", b"\x16\x03\x01", b"HTTP/9.9 abc\r\n\r\n", b"HTTP/1.1 200", b"SSH-2.0-x\r\n")
        )
    body = chance.choice(_BODIES)
    length = b"Content-Length: %d" % max(0, len(body) + chance.choice((0, 0, 0, 0, 1, -1)))
    lines = [b"HTTP/1.1 %d Odd" % chance.choice(_STATUSES), *chance.sample(_HEADERS, chance.randrange(4))]
    lines += [length] if chance.random() < 0.8 else []
    return b"\r\n".join((*lines, b"Connection: close", b"", b"")) + body


@asynccontextmanager
async def hostile_server(seed: int) -> AsyncIterator[str]:
    """Yield the URL of a server on this machine that gives each connection another odd answer."""
    chance = random.Random(seed)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(odd_answer(chance))
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
