"""Faults of any HTTP peer: answers that are replaced, late, broken or altered."""

import asyncio
import gzip
import socket
import struct
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from aiohttp import web

ServeNormally = Callable[[], Awaitable[web.Response]]
"""Serve the request as the peer does without a fault. The request has its effect during the call."""

_LINGER_0 = struct.pack("ii", 1, 0)  # makes closing a socket send RST instead of FIN


@dataclass(frozen=True, slots=True)
class Fault:
    """A way to answer a request. `play(request, serve_normally)` may leave out the call of `serve_normally`."""

    name: str
    play: Callable[[web.Request, ServeNormally], Awaitable[web.StreamResponse]]


def respond_with(
    status: int,
    body: str | bytes = b"",
    *,
    headers: Mapping[str, str] | None = None,
    content_type: str | None = "application/json",
    name: str | None = None,
) -> Fault:
    """Return a fault that sends this answer; the request has no effect."""
    raw = body.encode() if isinstance(body, str) else body

    async def play(_request: web.Request, _serve_normally: ServeNormally) -> web.StreamResponse:
        return web.Response(status=status, body=raw, headers=headers, content_type=content_type)

    return Fault(name or str(status), play)


def hang(seconds: float = 3600.0, *, after_processing: bool = False) -> Fault:
    """Return a fault that sends nothing and resets the connection after `seconds`.

    If `after_processing`, the request has its effect first.
    """

    async def play(request: web.Request, serve_normally: ServeNormally) -> web.StreamResponse:
        if after_processing:
            await serve_normally()
        await asyncio.sleep(seconds)
        return _reset_connection(request, web.Response())

    return Fault("hang", play)


def delayed_response(seconds: float) -> Fault:
    """Return a fault that sends the normal answer after `seconds`."""

    async def play(_request: web.Request, serve_normally: ServeNormally) -> web.StreamResponse:
        await asyncio.sleep(seconds)
        return await serve_normally()

    return Fault("delayed", play)


def slow_body(seconds: float, *, pieces: int = 10) -> Fault:
    """Return a fault that sends the normal body in `pieces` over `seconds`."""

    async def play(request: web.Request, serve_normally: ServeNormally) -> web.StreamResponse:
        response, body = await _send_head(request, serve_normally)
        step = max(1, -(-len(body) // pieces))
        for start in range(0, len(body), step):
            await response.write(body[start : start + step])
            await asyncio.sleep(seconds / pieces)
        return response

    return Fault("slow body", play)


def reset(*, after_processing: bool = False) -> Fault:
    """Return a fault that resets the connection before an answer.

    If `after_processing`, the request has its effect first.
    """

    async def play(request: web.Request, serve_normally: ServeNormally) -> web.StreamResponse:
        if after_processing:
            await serve_normally()
        return _reset_connection(request, web.Response())

    return Fault("reset", play)


def reset_in_body() -> Fault:
    """Return a fault that resets the connection after half of the normal body."""

    async def play(request: web.Request, serve_normally: ServeNormally) -> web.StreamResponse:
        response, body = await _send_head(request, serve_normally)
        await response.write(body[: len(body) // 2])
        return _reset_connection(request, response)

    return Fault("reset in the body", play)


def truncated_body() -> Fault:
    """Return a fault that announces the normal Content-Length, sends half of the body and closes the connection."""

    async def play(request: web.Request, serve_normally: ServeNormally) -> web.StreamResponse:
        response, body = await _send_head(request, serve_normally)
        await response.write(body[: len(body) // 2])
        if request.transport is not None:
            request.transport.close()
        return response

    return Fault("truncated", play)


def cut_body() -> Fault:
    """Return a fault that sends half of the normal body with a matching length: valid HTTP, broken JSON."""
    return altered_body(lambda body: body[: len(body) // 2], name="cut")


def altered_body(transform: Callable[[bytes], bytes], *, name: str = "altered") -> Fault:
    """Return a fault that sends the normal answer with a transformed body."""

    async def play(_request: web.Request, serve_normally: ServeNormally) -> web.StreamResponse:
        response = await serve_normally()
        response.body = transform(_body_of(response))
        return response

    return Fault(name, play)


def altered_head(
    *, status: int | None = None, headers: Mapping[str, str] | None = None, content_type: str | None = None
) -> Fault:
    """Return a fault that sends the normal body with another status, further headers or another content type."""

    async def play(_request: web.Request, serve_normally: ServeNormally) -> web.StreamResponse:
        response = await serve_normally()
        response.set_status(status or response.status)
        response.headers.update(headers or {})
        if content_type is not None:
            response.headers["Content-Type"] = content_type
        return response

    return Fault("altered head", play)


def gzipped_body() -> Fault:
    """Return a fault that compresses the normal body with gzip, even if the client does not accept it."""

    async def play(_request: web.Request, serve_normally: ServeNormally) -> web.StreamResponse:
        response = await serve_normally()
        response.body = gzip.compress(_body_of(response))
        response.headers["Content-Encoding"] = "gzip"
        return response

    return Fault("gzipped", play)


def _body_of(response: web.Response) -> bytes:
    if isinstance(response.body, (bytes, bytearray)):
        return bytes(response.body)
    return b""


async def _send_head(request: web.Request, serve_normally: ServeNormally) -> tuple[web.StreamResponse, bytes]:
    """Send status and headers of the normal answer, with its full Content-Length. Return it and the unsent body."""
    response_in_full = await serve_normally()
    body = _body_of(response_in_full)
    response = web.StreamResponse(status=response_in_full.status, headers=response_in_full.headers)
    response.content_length = len(body)
    await response.prepare(request)
    return response, body


def _reset_connection(request: web.Request, response: web.StreamResponse) -> web.StreamResponse:
    transport = request.transport
    if transport is not None:
        connection = transport.get_extra_info("socket")
        if connection is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_0)
        transport.abort()
    return response
