"""Look up host names beside the event loop, so that a name without an answer holds up nothing else.

asyncio runs getaddrinfo in its default executor, which has a few threads for everything, and a call that hangs in a thread
cannot be cancelled. Six names that DNS does not answer would stop every other connection, and every other work in a thread.
"""

import asyncio
import contextlib
import ipaddress
import socket
import threading
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial
from typing import Any

AddressInfo = list[tuple[Any, ...]]
_Question = tuple[Any, ...]

_purpose: ContextVar[str] = ContextVar("purpose of host look-ups", default="relay")


@dataclass(frozen=True, slots=True)
class ResolverTiming:
    """Bounds of look-ups."""

    answer_seconds: float = 10.0
    """How long a caller waits for an answer."""
    failure_seconds: float = 5.0
    """How long a failed look-up is answered without asking again."""
    max_lookups: int = 128
    """Look-ups at a time for one purpose, each in a thread of its own."""


DEFAULT_TIMING = ResolverTiming()


@contextlib.contextmanager
def lookups_for(purpose: str) -> Iterator[None]:
    """Count the look-ups of this block, and of tasks that it starts, for `purpose`: each has a bound of its own."""
    token = _purpose.set(purpose)
    try:
        yield
    finally:
        _purpose.reset(token)


class HostResolver:
    """Answers the loop's getaddrinfo from threads of its own.

    1. Equal questions share one look-up, so a name that DNS does not answer holds one thread, however often it is asked.
    2. Its callers fail after `answer_seconds`. The thread ends when the system's resolver gives up.
    3. The threads are daemons: the process does not wait for them at its end.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, timing: ResolverTiming = DEFAULT_TIMING) -> None:
        self._loop = loop
        self._timing = timing
        self._pending: dict[_Question, asyncio.Future[AddressInfo]] = {}
        self._failed_until: dict[_Question, tuple[float, OSError]] = {}
        self._lookups: dict[str, int] = {}
        """Running look-ups by purpose."""

    async def getaddrinfo(
        self,
        host: str | bytes | None,
        port: str | bytes | int | None,
        *,
        family: int = 0,
        type: int = 0,  # noqa: A002 - the name of the loop's own argument
        proto: int = 0,
        flags: int = 0,
    ) -> AddressInfo:
        """Return what socket.getaddrinfo returns. Raises socket.gaierror, also when no answer comes in time."""
        host = host.decode("ascii") if isinstance(host, bytes) else host
        question = (host, port, family, type, proto, flags)
        if host is None or _is_address(host):
            return socket.getaddrinfo(*question)  # asks nobody
        answer = self._pending.get(question) or self._ask(question)
        try:
            async with asyncio.timeout(self._timing.answer_seconds):
                return list(await asyncio.shield(answer))
        except TimeoutError:
            raise _unanswered(f"no answer within {self._timing.answer_seconds:g} s") from None

    def _ask(self, question: _Question) -> "asyncio.Future[AddressInfo]":
        """Start a look-up, or fail at once: after a recent failure, or while too many names have no answer."""
        answer: asyncio.Future[AddressInfo] = self._loop.create_future()
        answer.add_done_callback(_consume_exception)
        now, purpose = self._loop.time(), _purpose.get()
        self._failed_until = {each: failed for each, failed in self._failed_until.items() if failed[0] > now}
        if (failed := self._failed_until.get(question)) is not None:
            answer.set_exception(failed[1])
        elif self._lookups.get(purpose, 0) >= self._timing.max_lookups:
            answer.set_exception(_unanswered(f"{self._timing.max_lookups} names have no answer yet"))
        else:
            self._lookups[purpose] = self._lookups.get(purpose, 0) + 1
            self._pending[question] = answer
            threading.Thread(
                target=self._look_up, args=(question, purpose), name=f"look-up of {question[0]}", daemon=True
            ).start()
        return answer

    def _look_up(self, question: _Question, purpose: str) -> None:
        """Run in a thread."""
        result: AddressInfo | Exception
        try:
            result = socket.getaddrinfo(*question)
        except Exception as error:  # noqa: BLE001 - also UnicodeError, of a name that is not a host name
            result = error
        with contextlib.suppress(RuntimeError):  # the loop is closed, and nobody waits
            self._loop.call_soon_threadsafe(partial(self._answered, question, purpose, result))

    def _answered(self, question: _Question, purpose: str, result: AddressInfo | Exception) -> None:
        self._lookups[purpose] -= 1
        answer = self._pending.pop(question)
        if not isinstance(result, Exception):
            answer.set_result(result)
            return
        if isinstance(result, OSError):
            self._failed_until[question] = self._loop.time() + self._timing.failure_seconds, result
        answer.set_exception(result)


@contextlib.contextmanager
def bounded_lookups(timing: ResolverTiming = DEFAULT_TIMING) -> Iterator[None]:
    """Let every connection of the running loop look its host up through a HostResolver within this block."""
    loop = asyncio.get_running_loop()
    before = loop.getaddrinfo
    loop.getaddrinfo = HostResolver(loop, timing).getaddrinfo  # type: ignore[method-assign]
    try:
        yield
    finally:
        loop.getaddrinfo = before  # type: ignore[method-assign]


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True


def _unanswered(text: str) -> socket.gaierror:
    return socket.gaierror(socket.EAI_AGAIN, f"Temporary failure in name resolution: {text}")


def _consume_exception(answer: "asyncio.Future[AddressInfo]") -> None:
    if not answer.cancelled():
        answer.exception()
