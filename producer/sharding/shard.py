"""The life of one shard: load it, poll its organizations, load it again after a fault."""

import asyncio
import contextlib
import math
import random
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any, Protocol

import structlog

from producer.publishing.publisher import ShardClosedError, ShardPublisher
from relay.aio import cancel_all, cancellation_requested
from relay.condition_log import ConditionLog
from relay.errors import describe
from relay.kafka import KAFKA_FAILURES
from relay.organizations import Organization
from relay.retry import backoff_seconds

_NOT_REPORTED = (-math.inf, "")

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class ShardTiming:
    """Bounds and waits of a shard, in seconds."""

    close_seconds: float = 1.8
    """For the transaction under way, when the shard is taken away."""
    release_seconds: float = 8.0
    """For everything else of it."""
    reload_first_seconds: float = 0.2
    reload_cap_seconds: float = 3.0
    stable_seconds: float = 30.0
    """A shard that ran so long begins again with the shortest wait."""
    defect_seconds: float = 60.0
    open_check_seconds: float = 1.0
    """Between two looks whether a closed shard may open, or an open one must close."""
    failures_until_report: int = 3
    """Failures to load in a row; fewer are the restart of a broker."""
    report_seconds: float = 30.0
    """How often the organizations of a shard without publisher are reported as failing, since a status expires."""


class Membership(Protocol):
    """A shard's view of its group membership."""

    @property
    def generation(self) -> int: ...

    def invalidate(self) -> None: ...

    async def wait_for_membership(self) -> None: ...


class OrganizationPolling(Protocol):
    """The work for each organization of a shard."""

    async def poll(self, organization: Organization, publisher: ShardPublisher) -> None:
        """Poll it until cancelled or the publisher has failed."""

    async def unavailable(self, organization: Organization, reason: str) -> None:
        """Report that it is not polled, because its shard has no publisher."""

    def deleted(self, organization: str) -> None:
        """Remove its status: it is polled nowhere any more."""

    def released(self, organization: str) -> None:
        """Forget its unsent status: another process polls it."""


class Shard:
    """One partition of every sharded topic: its transactional producer, its state, and the pollers that use them.

    Any fault between begin and commit of a transaction discards producer and state. Both are loaded anew, and polling
    goes on from Kafka's state. That repeats until `close`.
    """

    def __init__(
        self,
        number: int,
        membership: Membership,
        load_publisher: Callable[[int], Awaitable[ShardPublisher]],
        polling: OrganizationPolling,
        timing: ShardTiming | None = None,
        closed_reason: Callable[[], str | None] = lambda: None,
    ) -> None:
        """`closed_reason`: why no shard may be open now; None: all may."""
        self.number = number
        self.timing = timing or ShardTiming()
        self._membership = membership
        self._load_publisher = load_publisher
        self._polling = polling
        self._organizations: dict[str, Organization] = {}
        self._deleted: set[str] = set()
        self._changed = asyncio.Event()
        self._publisher: ShardPublisher | None = None
        self._closing = False
        self._generation = 0
        self._closed_reason = closed_reason
        self._loading = ConditionLog(log)
        self._load_failures = 0
        self._reported = _NOT_REPORTED
        self.problem: str | None = None
        """Why it has no publisher; None: it has one, or has failed to load a few times only."""

    @property
    def in_transaction(self) -> bool:
        """Whether its publisher has a transaction under way."""
        return self._publisher is not None and self._publisher.in_transaction

    @property
    def ready(self) -> bool:
        return self._publisher is not None

    def set_organizations(self, organizations: dict[str, Organization]) -> None:
        """Poll these organizations, as they are now, and no others."""
        self._deleted |= self._organizations.keys() - organizations.keys()
        self._organizations = organizations
        self._reported = _NOT_REPORTED
        self._changed.set()

    def reload(self) -> None:
        """Discard the state, and load it from Kafka again."""
        if self._publisher is not None:
            self._publisher.failed.set()

    def keep(self) -> None:
        """Keep the shard after a rebalance that left it with this process.

        If the membership was lost before, another process may have owned the shard meanwhile: then reload it.
        """
        if self._generation != self._membership.generation:
            self.discard_pending_status()
            self.reload()

    def discard_pending_status(self) -> None:
        """Discard unsent status updates; the new owner may have published newer ones."""
        for name in self._organizations:
            self._polling.released(name)

    async def run(self) -> None:
        """Load the shard and poll its organizations, again after each failure. Cancel it after `close`; see stop_shard."""
        attempt, timing, loop = 0, self.timing, asyncio.get_running_loop()
        while not self._closing:
            started = loop.time()
            try:
                await self._wait_until_open()
                # A fenced owner asks first whether it still is one. Without this, two processes that both believe they
                # own the shard would fence one another in turns.
                await self._membership.wait_for_membership()
                self._generation = self._membership.generation
                await self._run_until_failed(await self._load_publisher(self.number))
            except asyncio.CancelledError:
                if cancellation_requested():
                    raise
                log.warning("A library cancelled the shard; it is loaded again.", shard=self.number)
            except KAFKA_FAILURES as error:
                await self._note_load_failure(error)
            except Exception:
                log.exception("A defect ended the shard; it is loaded again.", shard=self.number)
            attempt = 0 if loop.time() - started > timing.stable_seconds else attempt + 1
            first, cap = timing.reload_first_seconds, timing.reload_cap_seconds
            await asyncio.sleep(backoff_seconds(attempt, random.random(), first=first, cap=cap))

    async def _wait_until_open(self) -> None:
        while (reason := self._closed_reason()) is not None:
            await self._report_problem(reason)
            await asyncio.sleep(self.timing.open_check_seconds)

    async def _note_load_failure(self, error: Exception) -> None:
        """Log the failure; report the organizations as failing after several in a row."""
        reason = describe(error)
        self._loading.failed(
            self.number,
            type(error).__name__,
            "The shard was not loaded; trying again.",
            {"shard": self.number, "reason": reason},
        )
        self._load_failures += 1
        if self._load_failures >= self.timing.failures_until_report:
            await self._report_problem(f"Shard {self.number} cannot be loaded from Kafka. {reason}")

    async def _report_problem(self, reason: str) -> None:
        self.problem = reason
        now = asyncio.get_running_loop().time()
        reported_at, reported = self._reported
        if reason != reported or now - reported_at >= self.timing.report_seconds:
            self._reported = now, reason
            for organization in list(self._organizations.values()):
                await self._polling.unavailable(organization, reason)

    async def close(self) -> None:
        """Refuse new transactions, and give the one under way `close_seconds` to end."""
        self._closing = True
        if (publisher := self._publisher) is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self.timing.close_seconds):
                    await publisher.close()

    async def _run_until_failed(self, publisher: ShardPublisher) -> None:
        self._publisher = publisher
        self._loading.ended(self.number, "The shard is loaded; it could not be", {"shard": self.number})
        self.problem, self._load_failures, self._reported = None, 0, _NOT_REPORTED
        try:
            await self._run_pollers(publisher)
        finally:
            self._publisher = None
            await asyncio.shield(publisher.discard())
        if publisher.fenced:
            self._membership.invalidate()

    async def _run_pollers(self, publisher: ShardPublisher) -> None:
        """Run one poller for each organization until the publisher has failed, or must not publish any more."""
        pollers: dict[str, tuple[Organization, asyncio.Task[None]]] = {}
        failed = asyncio.create_task(publisher.failed.wait(), name=f"failure of shard {self.number}")
        changed = asyncio.create_task(self._changed.wait(), name=f"change of shard {self.number}")
        self._changed.set()
        try:
            # The level, not the change: a risk may be found while the shard loads, or by a look that another shard asked for.
            while not (failed.done() or publisher.batches_too_large or self._closed_reason() is not None):
                await asyncio.wait(
                    {changed, failed},
                    timeout=self.timing.open_check_seconds,
                    return_when=asyncio.FIRST_COMPLETED,
                )
                if changed.done():
                    self._changed.clear()
                    changed = asyncio.create_task(self._changed.wait(), name=f"change of shard {self.number}")
                    await self._reconcile(publisher, pollers)
        finally:
            await _cancel_all([failed, changed, *(task for _, task in pollers.values())])

    async def _reconcile(
        self, publisher: ShardPublisher, pollers: dict[str, tuple[Organization, asyncio.Task[None]]]
    ) -> None:
        """Stop the pollers of modified and deleted organizations, and start those that are missing."""
        wanted = self._organizations
        gone = [
            name
            for name, (as_polled, task) in pollers.items()
            if wanted.get(name) != as_polled or task.done()
        ]
        if gone:
            # A poller cancelled within its transaction would fail the publisher for all organizations.
            async with publisher.between_transactions():
                await _cancel_all([pollers.pop(name)[1] for name in gone])
        for name in self._deleted - wanted.keys():
            self._polling.deleted(name)
        self._deleted &= wanted.keys()  # deleted during the wait above: their pollers end at the next call
        for name, organization in wanted.items():
            if name not in pollers:
                task = asyncio.create_task(self._poll_guarded(organization, publisher), name=f"poll {name}")
                task.add_done_callback(self._note_change)
                pollers[name] = (organization, task)

    def _note_change(self, _ended: asyncio.Task[None]) -> None:
        """Look at the pollers soon. Waiting on the tasks of thousands themselves would cost each second anew."""
        self._changed.set()

    async def _poll_guarded(self, organization: Organization, publisher: ShardPublisher) -> None:
        """Keep a defect in one organization's poller from the others, and log it."""
        try:
            await self._polling.poll(organization, publisher)
            raise RuntimeError("the poller ended without an error")
        except ShardClosedError:
            await publisher.failed.wait()
        except Exception:
            log.exception(
                "A defect ended polling; it starts again in a minute.", organization=organization.name
            )
            await asyncio.sleep(self.timing.defect_seconds)


async def stop_shard(shard: Shard, task: asyncio.Task[None]) -> None:
    """Close a shard and end the task of its `run`: within four seconds, or ten if Kafka does not answer."""
    await shard.close()
    if await cancel_all([task], attempts=1, seconds=shard.timing.release_seconds):
        log.error("The shard did not end in time; fencing keeps it from writing.", shard=shard.number)


async def _cancel_all(tasks: Iterable[asyncio.Task[Any]]) -> None:
    if alive := await cancel_all(tasks):
        names = sorted(task.get_name() for task in alive)
        log.error("Tasks did not end after their cancellation.", tasks=names)
