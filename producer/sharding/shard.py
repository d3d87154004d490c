import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Protocol

import structlog

from producer.publishing.publisher import Desk, DeskClosedError
from relay.aio import cancel_all, cancellation_requested
from relay.errors import describe
from relay.kafka import KAFKA_FAILURES
from relay.organizations import Organization
from relay.retry import backoff_seconds

CLOSE_SECONDS = 1.8
RELEASE_SECONDS = 8.0
REOPEN_FIRST_SECONDS = 0.2
REOPEN_CAP_SECONDS = 3.0
STEADY_SECONDS = 30.0
DEFECT_SECONDS = 60.0

log = structlog.get_logger(__name__)


class Membership(Protocol):
    """What a shard has to know of the group it belongs to."""

    @property
    def generation(self) -> int: ...

    def invalidate(self) -> None: ...

    async def renewed(self) -> None: ...


class Work(Protocol):
    """What is done for each organization of a shard."""

    async def poll(self, organization: Organization, desk: Desk) -> None:
        """Follow it until cancelled or the desk is broken."""

    def deleted(self, organization: str) -> None:
        """It is not to be followed any more."""

    def released(self, organization: str) -> None:
        """It is somebody else's now."""


class Shard:
    """One partition of every sharded topic: its transactional producer, its memory and the pollers that use them.

    Whatever goes wrong between the begin and the end of a transaction discards producer and memory; both are opened
    anew, and polling goes on from what Kafka says. That repeats until `close`.
    """

    def __init__(
        self, number: int, membership: Membership, open_desk: Callable[[int], Awaitable[Desk]], work: Work
    ) -> None:
        self.number = number
        self._membership = membership
        self._open_desk = open_desk
        self._work = work
        self._organizations: dict[str, Organization] = {}
        self._deleted: set[str] = set()
        self._changed = asyncio.Event()
        self._desk: Desk | None = None
        self._closing = False
        self._generation = 0
        self._task = asyncio.create_task(self._run(), name=f"shard {number}")

    @property
    def ready(self) -> bool:
        return self._desk is not None

    def follow(self, organizations: dict[str, Organization]) -> None:
        """These, and no others, are to be polled, as they are now."""
        self._deleted |= self._organizations.keys() - organizations.keys()
        self._organizations = organizations
        self._changed.set()

    def reopen(self) -> None:
        """Forget what is known and read it from Kafka again."""
        if self._desk is not None:
            self._desk.broken.set()

    def kept(self) -> None:
        """It is ours after a rebalance, too. Where the membership was lost before, somebody else may have had it meanwhile."""
        if self._generation != self._membership.generation:
            self.hush()
            self.reopen()

    def hush(self) -> None:
        """What waits to be told is told no more: somebody else may have told newer things."""
        for name in self._organizations:
            self._work.released(name)

    async def close(self) -> None:
        """Let a commit end, then let go of everything: within four seconds, with Kafka dead within ten."""
        self._closing = True
        if (desk := self._desk) is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(CLOSE_SECONDS):
                    await desk.close()
        self._task.cancel()
        _, alive = await asyncio.wait({self._task}, timeout=RELEASE_SECONDS)
        if alive:
            log.error(
                "A shard did not end when it was taken away; Kafka keeps it from writing.", shard=self.number
            )

    async def _run(self) -> None:
        attempt = 0
        while not self._closing:
            began = asyncio.get_running_loop().time()
            try:
                await self._membership.renewed()
                self._generation = self._membership.generation
                await self._serve_and_discard(await self._open_desk(self.number))
            except asyncio.CancelledError:
                if cancellation_requested():
                    raise
                log.warning("A shard was cancelled from inside; trying again.", shard=self.number)
            except KAFKA_FAILURES as error:
                reason = describe(error)
                log.warning("A shard could not be opened; trying again.", shard=self.number, reason=reason)
            except Exception:
                log.exception("A shard ended by a defect; trying again.", shard=self.number)
            steady = asyncio.get_running_loop().time() - began > STEADY_SECONDS
            attempt = 0 if steady else attempt + 1
            await asyncio.sleep(
                backoff_seconds(attempt, random.random(), first=REOPEN_FIRST_SECONDS, cap=REOPEN_CAP_SECONDS)
            )

    async def _serve_and_discard(self, desk: Desk) -> None:
        self._desk = desk
        try:
            await self._serve(desk)
        finally:
            self._desk = None
            await asyncio.shield(desk.discard())
        if desk.fenced:
            self._membership.invalidate()

    async def _serve(self, desk: Desk) -> None:
        """Run one poller an organization until the desk is broken."""
        pollers: dict[str, tuple[Organization, asyncio.Task[None]]] = {}
        broken = asyncio.create_task(desk.broken.wait(), name=f"broken {self.number}")
        changed = asyncio.create_task(self._changed.wait(), name=f"changed {self.number}")
        self._changed.set()
        try:
            while not broken.done():
                tasks = {task for _, task in pollers.values()}
                await asyncio.wait({changed, broken, *tasks}, return_when=asyncio.FIRST_COMPLETED)
                if changed.done():
                    self._changed.clear()
                    changed = asyncio.create_task(self._changed.wait(), name=f"changed {self.number}")
                await self._reconcile(desk, pollers)
        finally:
            await _end([broken, changed, *(task for _, task in pollers.values())])

    async def _reconcile(
        self, desk: Desk, pollers: dict[str, tuple[Organization, asyncio.Task[None]]]
    ) -> None:
        wanted = self._organizations
        gone = [
            name
            for name, (as_polled, task) in pollers.items()
            if wanted.get(name) != as_polled or task.done()
        ]
        if gone:
            async with desk.quiet():  # one that is cancelled in its transaction would break the desk for all
                await _end([pollers.pop(name)[1] for name in gone])
        for name in self._deleted - wanted.keys():
            self._work.deleted(name)
        self._deleted &= wanted.keys()  # what was deleted while we waited has its turn next
        for name, organization in wanted.items():
            if name not in pollers:
                task = asyncio.create_task(self._guarded(organization, desk), name=f"poll {name}")
                pollers[name] = (organization, task)

    async def _guarded(self, organization: Organization, desk: Desk) -> None:
        """A defect in one organization's polling must not stop the others, nor go unnoticed."""
        try:
            await self._work.poll(organization, desk)
            raise RuntimeError("polling has ended by itself")
        except DeskClosedError:
            await desk.broken.wait()
        except Exception:
            log.exception(
                "Polling ended by a defect; starting again in a minute.", organization=organization.name
            )
            await asyncio.sleep(DEFECT_SECONDS)


async def _end(tasks: Iterable[asyncio.Task[Any]]) -> None:
    if alive := await cancel_all(tasks):
        log.error(
            "Tasks did not end when they were cancelled.", tasks=sorted(task.get_name() for task in alive)
        )
