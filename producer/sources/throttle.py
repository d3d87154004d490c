"""Politeness: one request at a time for each site, its pauses, the process's slots, and the back-off after a failure."""

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import TypeVar

from producer.sources.errors import BackoffScope, ErrorKind, RetryAction, SourceError, SourceFailure
from producer.sources.purpose import Purpose
from relay.retry import backoff_seconds

REQUEST_SLOTS = 300
LOW_PRIORITY_SLOTS = 60

T = TypeVar("T")

OnRequestEnded = Callable[[float, bool], None]
"""Takes the seconds that a request took, and whether the API answered it with the requested data."""


def ignore_request(_seconds: float, _answered: bool) -> None:
    """Take no notice of a request."""


def _first_seconds() -> Mapping[RetryAction, float]:
    return {RetryAction.RETRY: 2.0, RetryAction.WAIT: 5.0, RetryAction.FIX: 15.0}


def _cap_seconds() -> Mapping[RetryAction, float]:
    return {RetryAction.RETRY: 60.0, RetryAction.WAIT: 300.0, RetryAction.FIX: 300.0}


@dataclass(frozen=True, slots=True)
class BackoffTiming:
    """Waits after a failure, by its action: the first, and the longest that doubling reaches."""

    first_seconds: Mapping[RetryAction, float] = field(default_factory=_first_seconds)
    cap_seconds: Mapping[RetryAction, float] = field(default_factory=_cap_seconds)
    login_failure_seconds: float = 60.0
    """The first wait after a refused login: an API may ask for a CAPTCHA after a few of them."""
    key_check_seconds: float = 2.0
    """How often a waiting source looks whether the key has changed."""
    page_pause_seconds: float = 1.0
    """The least time between two tries of one page."""


class RequestSlots:
    """Requests under way at a time, to all sites together; of low priority, fewer.

    A request waits for a slot here rather than in the pool of connections, whose timeout would look like a fault of the
    site.
    """

    def __init__(
        self,
        total: int = REQUEST_SLOTS,
        low_priority: int = LOW_PRIORITY_SLOTS,
        on_request_ended: OnRequestEnded = ignore_request,
    ) -> None:
        self.total = total
        self._on_request_ended = on_request_ended
        self.all = asyncio.Semaphore(total)
        self.low_priority = asyncio.Semaphore(low_priority)

    async def run(self, send: Callable[[], Awaitable[T]]) -> T:
        """Run `send` in a slot, and report its duration. Without a key there was no request to report."""
        async with self.all:
            started = _now()
            try:
                found = await send()
            except SourceError as error:
                if error.kind is not ErrorKind.NO_KEY:
                    self._on_request_ended(_now() - started, False)
                raise
            self._on_request_ended(_now() - started, True)
            return found


@dataclass(slots=True)
class SiteThrottle:
    """Shared by all requests to one site: one at a time, and none before `paused_until` (loop's seconds)."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    paused_until: float = 0.0


@dataclass(frozen=True, slots=True)
class SourceBackoff:
    """No request before `until` (loop's seconds), unless it `ends_with_new_key`: with another key than this one."""

    until: float
    ends_with_new_key: bool
    key_fingerprint: bytes | None


class RequestThrottle:
    """Decides when one organization's next request may go.

    Who waits after a failure, and for how long (`BackoffTiming`):

    | failure | who waits | until |
    |---|---|---|
    | 429; 503 with Retry-After | every request of every organization of the site | at least the end of the wait it asked for |
    | 401, refused login, CAPTCHA, no key, other site | every request of the organization | the wait grows; a new key ends it |
    | 403, other 4xx, redirect, TLS | the requests of the same purpose | the wait grows; a new key ends it |
    | 5xx, time-out, broken connection or answer | the requests of the same purpose | the wait grows |
    | answer too large | nobody | fewer records are requested at once |

    So history that the API refuses never holds up live polling, and a refused key is tried by one request for all purposes.
    """

    def __init__(
        self,
        site: SiteThrottle,
        slots: RequestSlots,
        current_key: Callable[[], bytes | None],
        timing: BackoffTiming,
    ) -> None:
        """`current_key`: fingerprint of the key as it is now; None: there is none."""
        self.timing = timing
        self.sent_key: bytes | None = None
        """Fingerprint of the key of the last request: when its answer comes, the key may be another already."""
        self._site = site
        self._slots = slots
        self._current_key = current_key
        self._failure_counts: Counter[BackoffScope | Purpose] = Counter()
        self._backoffs: dict[BackoffScope | Purpose, SourceBackoff] = {}

    async def run(self, send: Callable[[], Awaitable[T]], purpose: Purpose = Purpose.LIVE) -> T:
        """Run `send` when the site is open and nobody else is asking it. A back-off inside it counts for the next already.

        A caller takes a slot only while its site is open: a few sites that refuse would leave none to the others.
        """
        slot = self._slots.low_priority if purpose.low_priority else nullcontext()
        while True:
            await self.wait_until_allowed(purpose)
            async with slot, self._site.lock:
                if self._blocked_until(purpose) > _now():  # by the request whose turn was before
                    continue
                return await self._slots.run(send)

    def succeeded(self, purpose: Purpose) -> None:
        """Begin with the shortest wait at the next failure of this purpose, of the credential, and of the site."""
        for counted in (purpose, BackoffScope.ORGANIZATION, BackoffScope.SITE):
            del self._failure_counts[counted]

    def back_off(self, failure: SourceFailure, purpose: Purpose = Purpose.LIVE) -> SourceError:
        """Start the wait that a failure asks for, longer each time, and return the error to raise.

        REDUCE_PAGE has no wait: fewer records can be requested at once.
        """
        action, timing = failure.action, self.timing
        if action is RetryAction.REDUCE_PAGE:
            return SourceError(failure)
        waiting = purpose if failure.scope is BackoffScope.PURPOSE else failure.scope
        first = timing.first_seconds[action]
        seconds = backoff_seconds(
            self._failure_counts[waiting],
            random.random(),
            first=timing.login_failure_seconds if failure.login_failed else first,
            cap=timing.cap_seconds[action],
            minimum=failure.retry_after_seconds or 0.0,
        )
        self._failure_counts[waiting] += 1
        until = _now() + seconds
        if waiting is BackoffScope.SITE:
            self._site.paused_until = max(self._site.paused_until, until)
        else:
            self._backoffs[waiting] = SourceBackoff(until, action is RetryAction.FIX, self.sent_key)
        return SourceError(failure, seconds)

    async def wait_until_allowed(self, purpose: Purpose) -> None:
        """Wait out the site's pause and the back-offs of this purpose; a key other than the refused one ends the latter."""
        while (pause := self._blocked_until(purpose) - _now()) > 0:
            await asyncio.sleep(min(pause, self.timing.key_check_seconds))
            self._end_backoffs_of_old_keys()

    def _end_backoffs_of_old_keys(self) -> None:
        waiting_for_a_key = {
            waiting: backoff
            for waiting, backoff in self._backoffs.items()
            if backoff.ends_with_new_key and backoff.until > _now()
        }
        if not waiting_for_a_key:
            return
        current = self._current_key()
        for waiting, backoff in waiting_for_a_key.items():
            if current not in {None, backoff.key_fingerprint}:
                del self._backoffs[waiting]

    def _blocked_until(self, purpose: Purpose) -> float:
        backoffs = (self._backoffs.get(waiting) for waiting in (purpose, BackoffScope.ORGANIZATION))
        return max(self._site.paused_until, *(backoff.until if backoff else 0.0 for backoff in backoffs))


def _now() -> float:
    return asyncio.get_running_loop().time()
