"""What may go wrong between a client and a simulated peer, and the script that says when."""

import asyncio
import gzip
import random
import socket
import struct
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from aiohttp import web

Honest = Callable[[], Awaitable[web.Response]]
"""Serves the request as the peer would without a fault; its effect takes place when it is called."""

_LINGER_0 = struct.pack("ii", 1, 0)  # makes closing a socket send RST instead of FIN


@dataclass(frozen=True, slots=True)
class Fault:
    """`play(request, honest)` answers in place of the peer; it need not call `honest`."""

    name: str
    play: Callable[[web.Request, Honest], Awaitable[web.StreamResponse]]


def answer(
    status: int,
    body: str | bytes = b"",
    *,
    headers: Mapping[str, str] | None = None,
    content_type: str | None = "application/json",
    name: str | None = None,
) -> Fault:
    """This answer instead of the honest one; the request has no effect."""
    raw = body.encode() if isinstance(body, str) else body

    async def play(_request: web.Request, _honest: Honest) -> web.StreamResponse:
        return web.Response(status=status, body=raw, headers=headers, content_type=content_type)

    return Fault(name or str(status), play)


def hang(seconds: float = 3600.0, *, effective: bool = False) -> Fault:
    """No answer; the connection is reset after `seconds`. If `effective`, the request has its effect first."""

    async def play(request: web.Request, honest: Honest) -> web.StreamResponse:
        if effective:
            await honest()
        await asyncio.sleep(seconds)
        return _reset(request, web.Response())

    return Fault("hang", play)


def delayed(seconds: float) -> Fault:
    """The honest answer, but only after `seconds`."""

    async def play(_request: web.Request, honest: Honest) -> web.StreamResponse:
        await asyncio.sleep(seconds)
        return await honest()

    return Fault("delayed", play)


def slow_body(seconds: float, *, pieces: int = 10) -> Fault:
    """The honest answer, its body spread over `seconds`."""

    async def play(request: web.Request, honest: Honest) -> web.StreamResponse:
        response, body = await _head(request, honest)
        step = max(1, -(-len(body) // pieces))
        for start in range(0, len(body), step):
            await response.write(body[start : start + step])
            await asyncio.sleep(seconds / pieces)
        return response

    return Fault("slow body", play)


def reset(*, effective: bool = False) -> Fault:
    """The connection is reset before any answer. If `effective`, the request has its effect first."""

    async def play(request: web.Request, honest: Honest) -> web.StreamResponse:
        if effective:
            await honest()
        return _reset(request, web.Response())

    return Fault("reset", play)


def reset_in_body() -> Fault:
    """Status, headers and half of the honest body, then a reset."""

    async def play(request: web.Request, honest: Honest) -> web.StreamResponse:
        response, body = await _head(request, honest)
        await response.write(body[: len(body) // 2])
        return _reset(request, response)

    return Fault("reset in the body", play)


def truncated() -> Fault:
    """Content-Length of the honest body, half of it, then an orderly close."""

    async def play(request: web.Request, honest: Honest) -> web.StreamResponse:
        response, body = await _head(request, honest)
        await response.write(body[: len(body) // 2])
        if request.transport is not None:
            request.transport.close()
        return response

    return Fault("truncated", play)


def cut() -> Fault:
    """Half of the honest body, as if that were the whole: valid HTTP, broken JSON."""
    return altered(lambda body: body[: len(body) // 2], name="cut")


def altered(change: Callable[[bytes], bytes], *, name: str = "altered") -> Fault:
    """The honest answer with another body."""

    async def play(_request: web.Request, honest: Honest) -> web.StreamResponse:
        response = await honest()
        response.body = change(_body(response))
        return response

    return Fault(name, play)


def redressed(
    *, status: int | None = None, headers: Mapping[str, str] | None = None, content_type: str | None = None
) -> Fault:
    """The honest body under another status, more headers or another content type."""

    async def play(_request: web.Request, honest: Honest) -> web.StreamResponse:
        response = await honest()
        response.set_status(status or response.status)
        response.headers.update(headers or {})
        if content_type is not None:
            response.headers["Content-Type"] = content_type
        return response

    return Fault("redressed", play)


def gzipped() -> Fault:
    """The honest body with `Content-Encoding: gzip`, whether it was asked for or not."""

    async def play(_request: web.Request, honest: Honest) -> web.StreamResponse:
        response = await honest()
        response.body = gzip.compress(_body(response))
        response.headers["Content-Encoding"] = "gzip"
        return response

    return Fault("gzipped", play)


class Planned:
    """One line of a script. `played` counts how often it came; `cancel()` ends it."""

    def __init__(self, fault: Fault, times: int | None, until: float | None, rate: float, skip: int) -> None:
        self.fault = fault
        self.played = 0
        self._times = times
        self._until = until
        self._rate = rate
        self._skip = skip

    def cancel(self) -> None:
        self._times = 0

    def over(self, now: float) -> bool:
        spent = self._times is not None and self.played >= self._times
        return spent or (self._until is not None and now >= self._until)

    def hits(self, draw: float) -> bool:
        if draw >= self._rate:
            return False
        if self._skip > 0:
            self._skip -= 1
            return False
        self.played += 1
        return True


class Script:
    """Faults to come, asked once for each request; the first line that fits is played."""

    def __init__(self, seed: int = 0, clock: Callable[[], float] = time.monotonic) -> None:
        self._lines: list[tuple[Planned, Callable[[web.Request], bool] | None]] = []
        self._random = random.Random(seed)
        self._clock = clock

    def add(
        self,
        fault: Fault,
        *,
        times: int | None = None,
        seconds: float | None = None,
        rate: float | None = None,
        skip: int = 0,
        only: Callable[[web.Request], bool] | None = None,
    ) -> Planned:
        """Once, unless `times`, `seconds` (from now on) or `rate` (0 to 1, drawn from the seed) say otherwise.

        `skip` lets that many fitting requests pass first; `only` says which requests fit.
        """
        if times is None and seconds is None and rate is None:
            times = 1
        until = None if seconds is None else self._clock() + seconds
        planned = Planned(fault, times, until, 1.0 if rate is None else rate, skip)
        self._lines.append((planned, only))
        return planned

    def clear(self) -> None:
        self._lines.clear()

    def next(self, request: web.Request) -> Fault | None:
        now = self._clock()
        self._lines = [line for line in self._lines if not line[0].over(now)]
        for planned, only in self._lines:
            if (only is None or only(request)) and planned.hits(self._random.random()):
                return planned.fault
        return None


def _body(response: web.Response) -> bytes:
    if isinstance(response.body, (bytes, bytearray)):
        return bytes(response.body)
    return b""


async def _head(request: web.Request, honest: Honest) -> tuple[web.StreamResponse, bytes]:
    """Sends status and headers of the honest answer, its full Content-Length included."""
    whole = await honest()
    body = _body(whole)
    response = web.StreamResponse(status=whole.status, headers=whole.headers)
    response.content_length = len(body)
    await response.prepare(request)
    return response, body


def _reset(request: web.Request, response: web.StreamResponse) -> web.StreamResponse:
    transport = request.transport
    if transport is not None:
        connection = transport.get_extra_info("socket")
        if connection is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_0)
        transport.abort()
    return response
