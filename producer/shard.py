import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol

import structlog

from producer.desk import Desk, DeskClosedError
from relay.errors import RelayError
from relay.kafka import KafkaError
from relay.organizations import Organization
from relay.retry import backoff_seconds

CLOSE_SECONDS = 1.8
REOPEN_FIRST_SECONDS = 0.2
REOPEN_CAP_SECONDS = 3.0

log = structlog.get_logger(__name__)


class Membership(Protocol):
    """What a shard has to know of the group it belongs to."""

    def suspect(self) -> None: ...

    async def confirmed(self) -> None: ...


class Shard:
    """One partition of every sharded topic: its transactional producer, its memory and the pollers that use them.

    Whatever goes wrong between the begin and the end of a transaction discards producer and memory; both are opened
    anew, and polling goes on from what Kafka says. That repeats until `close`.
    """

    def __init__(
        self,
        number: int,
        membership: Membership,
        open_desk: Callable[[int], Awaitable[Desk]],
        poll: Callable[[Organization, Desk], Awaitable[None]],
        forget: Callable[[str], None],
    ) -> None:
        self.number = number
        self._membership = membership
        self._open_desk = open_desk
        self._poll = poll
        self._forget = forget
        self._organizations: dict[str, Organization] | None = None
        self._changed = asyncio.Event()
        self._desk: Desk | None = None
        self._task = asyncio.create_task(self._run(), name=f"shard {number}")

    @property
    def ready(self) -> bool:
        return self._desk is not None

    def follow(self, organizations: dict[str, Organization]) -> None:
        """These, and no others, are to be polled, as they are now."""
        self._organizations = organizations
        self._changed.set()

    async def close(self) -> None:
        """Let a commit end, then let go of everything, within four seconds."""
        if (desk := self._desk) is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(CLOSE_SECONDS):
                    await desk.close()
        self._task.cancel()
        await asyncio.wait({self._task}, timeout=4)

    async def _run(self) -> None:
        attempt = 0
        while True:
            await self._membership.confirmed()
            try:
                desk = await self._open_desk(self.number)
            except (RelayError, KafkaError, TimeoutError, OSError) as error:
                log.warning(
                    "A shard could not be opened; trying again.",
                    shard=self.number,
                    reason=str(error) or type(error).__name__,
                )
                await asyncio.sleep(
                    backoff_seconds(
                        attempt, random.random(), first=REOPEN_FIRST_SECONDS, cap=REOPEN_CAP_SECONDS
                    )
                )
                attempt += 1
                continue
            attempt = 0
            await self._serve_and_discard(desk)

    async def _serve_and_discard(self, desk: Desk) -> None:
        self._desk = desk
        try:
            await self._serve(desk)
        finally:
            self._desk = None
            await asyncio.shield(desk.discard())
        if desk.fenced:
            self._membership.suspect()

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
            await _cancel([broken, changed, *(task for _, task in pollers.values())])

    async def _reconcile(
        self, desk: Desk, pollers: dict[str, tuple[Organization, asyncio.Task[None]]]
    ) -> None:
        wanted = self._organizations or {}
        gone = [
            name
            for name, (as_polled, task) in pollers.items()
            if wanted.get(name) != as_polled or task.done()
        ]
        await _cancel([pollers.pop(name)[1] for name in gone])
        for name in set(gone) - wanted.keys():
            self._forget(name)
        for name, organization in wanted.items():
            if name not in pollers:
                task = asyncio.create_task(self._guarded(organization, desk), name=f"poll {name}")
                pollers[name] = (organization, task)

    async def _guarded(self, organization: Organization, desk: Desk) -> None:
        """A defect in one organization's polling must not stop the others, nor go unnoticed."""
        try:
            await self._poll(organization, desk)
        except DeskClosedError:
            await desk.broken.wait()
        except Exception:
            if not desk.broken.is_set():
                log.exception(
                    "Polling ended by a defect; starting again in a minute.", organization=organization.name
                )
                await asyncio.sleep(60)


async def _cancel(tasks: Sequence[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks, timeout=5)
