import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Protocol

import structlog

from producer.publishing.publisher import ShardClosedError, ShardPublisher
from relay.aio import cancel_all, cancellation_requested
from relay.errors import describe
from relay.kafka import KAFKA_FAILURES
from relay.organizations import Organization
from relay.retry import backoff_seconds

CLOSE_SECONDS = 1.8
RELEASE_SECONDS = 8.0
RELOAD_FIRST_SECONDS = 0.2
RELOAD_CAP_SECONDS = 3.0
STABLE_SECONDS = 30.0
DEFECT_SECONDS = 60.0

log = structlog.get_logger(__name__)


class Membership(Protocol):
    """What a shard has to know of the group it belongs to."""

    @property
    def generation(self) -> int: ...

    def invalidate(self) -> None: ...

    async def renewed(self) -> None: ...


class OrganizationHandler(Protocol):
    """What is done for each organization of a shard."""

    async def poll(self, organization: Organization, publisher: ShardPublisher) -> None:
        """Follow it until cancelled or the publisher has failed."""

    def deleted(self, organization: str) -> None:
        """It is not to be followed any more."""

    def released(self, organization: str) -> None:
        """It is somebody else's now."""


class Shard:
    """One partition of every sharded topic: its transactional producer, its state and the pollers that use them.

    Whatever goes wrong between the begin and the end of a transaction discards producer and state; both are loaded
    anew, and polling goes on from what Kafka says. That repeats until `close`.
    """

    def __init__(
        self,
        number: int,
        membership: Membership,
        load_publisher: Callable[[int], Awaitable[ShardPublisher]],
        handler: OrganizationHandler,
    ) -> None:
        self.number = number
        self._membership = membership
        self._load_publisher = load_publisher
        self._handler = handler
        self._organizations: dict[str, Organization] = {}
        self._deleted: set[str] = set()
        self._changed = asyncio.Event()
        self._publisher: ShardPublisher | None = None
        self._closing = False
        self._generation = 0
        self._task = asyncio.create_task(self._run(), name=f"shard {number}")

    @property
    def ready(self) -> bool:
        return self._publisher is not None

    def set_organizations(self, organizations: dict[str, Organization]) -> None:
        """These, and no others, are to be polled, as they are now."""
        self._deleted |= self._organizations.keys() - organizations.keys()
        self._organizations = organizations
        self._changed.set()

    def reload(self) -> None:
        """Forget what is known and read it from Kafka again."""
        if self._publisher is not None:
            self._publisher.failed.set()

    def retained(self) -> None:
        """It is ours after a rebalance, too. Where the membership was lost before, somebody else may have had it meanwhile."""
        if self._generation != self._membership.generation:
            self.discard_pending_status()
            self.reload()

    def discard_pending_status(self) -> None:
        """What waits to be told is told no more: somebody else may have told newer things."""
        for name in self._organizations:
            self._handler.released(name)

    async def close(self) -> None:
        """Let a commit end, then let go of everything: within four seconds, with Kafka dead within ten."""
        self._closing = True
        if (publisher := self._publisher) is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(CLOSE_SECONDS):
                    await publisher.close()
        self._task.cancel()
        _, alive = await asyncio.wait({self._task}, timeout=RELEASE_SECONDS)
        if alive:
            log.error(
                "A shard did not end when it was taken away; Kafka keeps it from writing.", shard=self.number
            )

    async def _run(self) -> None:
        attempt = 0
        while not self._closing:
            started = asyncio.get_running_loop().time()
            try:
                await self._membership.renewed()
                self._generation = self._membership.generation
                await self._run_until_failed(await self._load_publisher(self.number))
            except asyncio.CancelledError:
                if cancellation_requested():
                    raise
                log.warning("A shard was cancelled from inside; trying again.", shard=self.number)
            except KAFKA_FAILURES as error:
                reason = describe(error)
                log.warning("A shard could not be opened; trying again.", shard=self.number, reason=reason)
            except Exception:
                log.exception("A shard ended by a defect; trying again.", shard=self.number)
            stable = asyncio.get_running_loop().time() - started > STABLE_SECONDS
            attempt = 0 if stable else attempt + 1
            await asyncio.sleep(
                backoff_seconds(attempt, random.random(), first=RELOAD_FIRST_SECONDS, cap=RELOAD_CAP_SECONDS)
            )

    async def _run_until_failed(self, publisher: ShardPublisher) -> None:
        self._publisher = publisher
        try:
            await self._run_pollers(publisher)
        finally:
            self._publisher = None
            await asyncio.shield(publisher.discard())
        if publisher.fenced:
            self._membership.invalidate()

    async def _run_pollers(self, publisher: ShardPublisher) -> None:
        """Run one poller an organization until the publisher has failed."""
        pollers: dict[str, tuple[Organization, asyncio.Task[None]]] = {}
        failed = asyncio.create_task(publisher.failed.wait(), name=f"broken {self.number}")
        changed = asyncio.create_task(self._changed.wait(), name=f"changed {self.number}")
        self._changed.set()
        try:
            while not failed.done():
                tasks = {task for _, task in pollers.values()}
                await asyncio.wait({changed, failed, *tasks}, return_when=asyncio.FIRST_COMPLETED)
                if changed.done():
                    self._changed.clear()
                    changed = asyncio.create_task(self._changed.wait(), name=f"changed {self.number}")
                await self._reconcile(publisher, pollers)
        finally:
            await _cancel_all([failed, changed, *(task for _, task in pollers.values())])

    async def _reconcile(
        self, publisher: ShardPublisher, pollers: dict[str, tuple[Organization, asyncio.Task[None]]]
    ) -> None:
        wanted = self._organizations
        gone = [
            name
            for name, (as_polled, task) in pollers.items()
            if wanted.get(name) != as_polled or task.done()
        ]
        if gone:
            # one that is cancelled in its transaction would fail the publisher for all
            async with publisher.between_transactions():
                await _cancel_all([pollers.pop(name)[1] for name in gone])
        for name in self._deleted - wanted.keys():
            self._handler.deleted(name)
        self._deleted &= wanted.keys()  # what was deleted while we waited has its turn next
        for name, organization in wanted.items():
            if name not in pollers:
                task = asyncio.create_task(self._poll_guarded(organization, publisher), name=f"poll {name}")
                pollers[name] = (organization, task)

    async def _poll_guarded(self, organization: Organization, publisher: ShardPublisher) -> None:
        """A defect in one organization's polling must not stop the others, nor go unnoticed."""
        try:
            await self._handler.poll(organization, publisher)
            raise RuntimeError("polling has ended by itself")
        except ShardClosedError:
            await publisher.failed.wait()
        except Exception:
            log.exception(
                "Polling ended by a defect; starting again in a minute.", organization=organization.name
            )
            await asyncio.sleep(DEFECT_SECONDS)


async def _cancel_all(tasks: Iterable[asyncio.Task[Any]]) -> None:
    if alive := await cancel_all(tasks):
        log.error(
            "Tasks did not end when they were cancelled.", tasks=sorted(task.get_name() for task in alive)
        )
