"""What the process knows of the secrets in stores: each is read once for all users, and again by age and after a refusal.

Reads run in threads of their own, each with an event loop of its own: settings are read before there is a loop, and a store
that hangs holds up nobody but those who have no value yet.
"""

import asyncio
import random
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass

import structlog

from relay.config.secret_stores import SecretStoresConfig
from relay.credentials.stores.catalogue import StoreReaders
from relay.credentials.stores.error import SecretStoreError
from relay.credentials.stores.reference import StoreReference, parse_reference
from relay.errors import describe, one_line
from relay.retry import backoff_seconds

log = structlog.get_logger(__name__)

ReadOutcome = str | SecretStoreError
"""The value of a secret, or why it could not be read."""


@dataclass(frozen=True, slots=True)
class SecretStoreTiming:
    """Times of reads. The budget of a store is at most one read of each secret per `reread_seconds`."""

    refresh_seconds: float = 300.0
    """Age at which a value in use is read again."""
    awaited_seconds: float = 30.0
    """Age at which a value is read again while somebody waits for another one; wait after a failed read."""
    reread_seconds: float = 5.0
    """The least time between two reads of a secret, when a login with it was refused."""
    attempts: int = 3
    attempt_seconds: float = 8.0
    total_seconds: float = 20.0
    first_backoff_seconds: float = 0.5
    concurrent_reads: int = 8


@dataclass(slots=True)
class _Entry:
    """A secret. `value` None: it was never read. Instants are seconds of the clock."""

    reference: StoreReference
    value: str | None = None
    read_at: float = 0.0
    tried_at: float = float("-inf")
    fault: SecretStoreError | None = None
    pending: "Future[None] | None" = None


class SecretStores:
    """The secrets that references name. All methods may be called from any thread."""

    def __init__(
        self,
        read: Callable[[StoreReference], Awaitable[str]],
        timing: SecretStoreTiming | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`read`: asks a store once, and raises SecretStoreError."""
        self.timing = timing or SecretStoreTiming()
        self._read = read
        self._clock = clock
        self._lock = threading.Lock()
        self._entries: dict[str, _Entry] = {}
        self._queue: deque[tuple[_Entry, Future[None]]] = deque()
        self._workers = 0
        self._listeners: list[Callable[[str], None]] = []

    def report_to(self, on_secret: Callable[[str], None]) -> None:
        """Call `on_secret` with each value known now, and with each one that is read later, before anybody gets it."""
        with self._lock:
            self._listeners.append(on_secret)
            known = [entry.value for entry in self._entries.values() if entry.value is not None]
        for value in known:
            on_secret(value)

    def known(self, text: str, max_age_seconds: float | None = None) -> str:
        """Return the last known value at once; an older one than `max_age_seconds` is read again meanwhile.

        None: the timing's age. Raises SecretStoreError if the secret was never read.
        """
        entry = self._entry(text)
        age = self._clock() - entry.read_at
        allowed = self.timing.refresh_seconds if max_age_seconds is None else max_age_seconds
        if entry.value is None or (age > allowed and not entry.reference.is_key):
            self._start(entry, self.timing.awaited_seconds)
        if entry.value is not None:
            return entry.value
        raise entry.fault or SecretStoreError(
            f"The secret {entry.reference.shown} was not read yet.", transient=True
        )

    async def read(self, text: str) -> str:
        """Return the known value, or wait for the first one. Raises SecretStoreError."""
        entry = self._entry(text)
        if entry.value is None and (pending := self._start(entry, self.timing.reread_seconds)) is not None:
            await asyncio.wrap_future(pending)
        return self.known(text)

    async def reread(self, text: str) -> bool:
        """Ask the store anew, since a login was refused. Return whether the value is another one now. Raises nothing.

        A value read within the last `reread_seconds` is not asked for again.
        """
        entry = self._entry(text)
        before = entry.value
        if (pending := self._start(entry, self.timing.reread_seconds)) is not None:
            await asyncio.wrap_future(pending)
        return entry.value is not None and entry.value != before

    def read_all(self, texts: Iterable[str]) -> Mapping[str, ReadOutcome]:
        """Read secrets at the start, all at a time. Blocks for at most `total_seconds` for each `concurrent_reads` of them."""
        entries = {text: self._entry(text) for text in texts}
        for entry in entries.values():
            if entry.value is None:
                self._start(entry, 0.0)
        rounds = 1 + len(entries) // self.timing.concurrent_reads
        end = time.monotonic() + rounds * (self.timing.total_seconds + 1)
        return {text: self._outcome(entry, end - time.monotonic()) for text, entry in entries.items()}

    def _outcome(self, entry: _Entry, seconds: float) -> ReadOutcome:
        pending = entry.pending
        if pending is not None:
            try:
                pending.result(max(seconds, 0.0))
            except FutureTimeoutError:
                return self._late(entry.reference)
        if entry.value is not None:
            return entry.value
        return entry.fault or self._late(entry.reference)

    def _late(self, reference: StoreReference) -> SecretStoreError:
        text = (
            f"The secret {reference.shown} cannot be read: no answer within {self.timing.total_seconds:g} s."
        )
        return SecretStoreError(f"{text} Check the network and the store.", transient=True)

    def _entry(self, text: str) -> _Entry:
        with self._lock:
            if text not in self._entries:
                try:
                    self._entries[text] = _Entry(parse_reference(text))
                except ValueError as error:
                    raise SecretStoreError(f"The reference {error}.") from None
            return self._entries[text]

    def _start(self, entry: _Entry, wait_seconds: float) -> "Future[None] | None":
        """Return the read under way, or start one, unless the last one started within `wait_seconds`: then None."""
        with self._lock:
            if entry.pending is not None:
                return entry.pending
            if self._clock() - entry.tried_at < wait_seconds:
                return None
            entry.tried_at = self._clock()
            pending: Future[None] = Future()
            pending.set_running_or_notify_cancel()  # else one waiter that is cancelled would cancel it for all
            entry.pending = pending
            self._queue.append((entry, pending))
            if self._workers < self.timing.concurrent_reads:
                try:
                    threading.Thread(target=self._work, name="secret stores", daemon=True).start()
                    self._workers += 1
                except RuntimeError as error:  # no more threads are allowed, or the process ends
                    if not self._workers:
                        self._give_up(error)
            return pending

    def _give_up(self, error: RuntimeError) -> None:
        """End the reads in the queue, which no thread can make; else who waits for one would wait for ever. Holds the lock."""
        while self._queue:
            entry, pending = self._queue.popleft()
            entry.fault, entry.pending = _no_read(entry.reference, error), None
            pending.set_result(None)

    def _work(self) -> None:
        """Read what is in the queue, and end when it is empty."""
        while True:
            with self._lock:
                if not self._queue:
                    self._workers -= 1
                    return
                entry, pending = self._queue.popleft()
            try:
                asyncio.run(self._read_one(entry, pending))
            except Exception as error:  # noqa: BLE001 - no event loop, or a log that cannot be written: who waits must not do so for ever
                entry.fault = _no_read(entry.reference, error)
                self._end(entry, pending)

    async def _read_one(self, entry: _Entry, pending: "Future[None]") -> None:
        """Read a secret, and end the read for all who wait. The loop may close later, when a name lookup hangs."""
        try:
            outcome = await self._ask(entry.reference)
        except Exception as error:  # noqa: BLE001 - a defect of a reader must not end the reads of all
            outcome = SecretStoreError(
                one_line(f"the read failed ({type(error).__name__}: {describe(error)})"), transient=True
            )
        self._settle(entry, outcome)
        self._end(entry, pending)

    def _end(self, entry: _Entry, pending: "Future[None]") -> None:
        """End a read, once, for all who wait for it."""
        with self._lock:
            if pending.done():
                return
            entry.pending = None
            pending.set_result(None)

    async def _ask(self, reference: StoreReference) -> ReadOutcome:
        timing = self.timing
        fault = SecretStoreError(
            f"no answer within {timing.total_seconds:g} s. Check the network and the store.", transient=True
        )
        try:
            async with asyncio.timeout(timing.total_seconds):
                for attempt in range(timing.attempts):
                    try:
                        async with asyncio.timeout(timing.attempt_seconds):
                            return await self._read(reference)
                    except TimeoutError:
                        pass
                    except SecretStoreError as error:
                        fault = error
                    if not fault.transient or attempt + 1 == timing.attempts:
                        break
                    await asyncio.sleep(
                        backoff_seconds(attempt, random.random(), first=timing.first_backoff_seconds)
                    )
        except TimeoutError:
            pass
        return fault

    def _settle(self, entry: _Entry, outcome: ReadOutcome) -> None:
        if isinstance(outcome, SecretStoreError):
            self._report_fault(entry, outcome)
        else:
            with self._lock:
                listeners = list(self._listeners)
            for listener in listeners:
                listener(outcome)
            if entry.value is not None and entry.value != outcome:
                log.info("A secret has another value in its store.", reference=entry.reference.shown)
            if entry.value is not None and entry.fault is not None:
                log.info("A secret store answers again.", reference=entry.reference.shown)
            entry.fault, entry.read_at = None, self._clock()
            entry.value = outcome  # last: who sees the value sees no fault

    def _report_fault(self, entry: _Entry, fault: SecretStoreError) -> None:
        text = f"The secret {entry.reference.shown} cannot be read: {fault}"
        entry.fault = SecretStoreError(text, transient=fault.transient)
        if entry.value is not None:
            log.warning(
                "A secret could not be read again; the old value is used.",
                reference=entry.reference.shown,
                age_seconds=round(self._clock() - entry.read_at),
                reason=str(fault),
            )


def _no_read(reference: StoreReference, error: Exception) -> SecretStoreError:
    reason = one_line(f"{type(error).__name__}: {describe(error)}", 200)
    return SecretStoreError(
        f"The secret {reference.shown} cannot be read: this process cannot make the read ({reason}). Look at its limits of"
        " threads and open files.",
        transient=True,
    )


_opened: dict[SecretStoresConfig, SecretStores] = {}


def open_stores(config: SecretStoresConfig, environ: Mapping[str, str]) -> SecretStores:
    """Return the stores of these settings: the same ones for all of the process, so that a secret is read once.

    `environ`: the variables of AWS and Google.
    """
    if config not in _opened:
        timing = SecretStoreTiming(refresh_seconds=config.refresh_seconds)
        _opened[config] = SecretStores(StoreReaders(config, environ).read, timing)
    return _opened[config]
