"""The membership of one process in the groups of a destination, while they belong to the target of its settings."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import structlog

from consumer.targets.store import ClaimStore, ClaimUnknownError
from consumer.targets.target import Claim, Target
from consumer.timing import TargetTiming
from relay.aio import cancel_all
from relay.errors import describe
from relay.kafka import KAFKA_FAILURES
from relay.timestamps import now_ms, to_iso_seconds

log = structlog.get_logger(__name__)

Membership = Callable[[], Coroutine[Any, Any, None]]


class TargetGuard:
    """Runs the memberships of a destination only while its name is claimed for this target, and says why it does not.

    1. Two settings files with one name and different targets would share a group, and each target would get a part of the events.
       So the process of another target is no member at all: it owns no partition that the other could read.
    2. The first process claims the name. It looks again before it joins, since two may claim at once; the later claim counts.
    3. Where nobody can say whose the name is, the process goes on as without claims, and the status says so.
    """

    def __init__(
        self, name: str, target: Target, store: ClaimStore, timing: TargetTiming | None = None
    ) -> None:
        self._name = name
        self._target = target
        self._store = store
        self._timing = timing or TargetTiming()
        self.problem: str | None = None
        """Why an operator must act; None: the name belongs to this target, or that is not known."""
        self.waiting: str | None = "looking up whether the destination belongs to this target"
        """Why the process does not join yet; None: it has looked."""
        self.notice: str | None = None
        """Why it is not known whose the name is; None: it is known."""

    async def run(self, memberships: Sequence[Membership]) -> None:
        """Join whenever the name belongs to this target, until cancelled. Raises the exception that ended a membership."""
        while True:
            if await self._may_join():
                await self._serve(memberships)
            else:
                await asyncio.sleep(self._timing.interval_seconds)

    async def _serve(self, memberships: Sequence[Membership]) -> None:
        tasks = {asyncio.create_task(run(), name=f"membership for {self._name}") for run in memberships}
        tasks.add(asyncio.create_task(self._until_claimed_by_another(), name=f"claim of {self._name}"))
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            await cancel_all(tasks, attempts=1, seconds=self._timing.release_seconds)

    async def _until_claimed_by_another(self) -> None:
        while self.problem is None:
            await asyncio.sleep(self._timing.interval_seconds)
            await self._look(joined=True)

    async def _may_join(self) -> bool:
        claim = await self._look(joined=False)
        if self.problem is not None or self.waiting is not None:
            return False
        if claim is not None and claim.confirmed:
            # The process of the former target notices at its next look, and then waits for its answers.
            age = max(0.0, (now_ms() - claim.at) / 1000)  # of another machine's clock
            await asyncio.sleep(max(0.0, self._timing.handover_seconds - age))
        return True

    async def _look(self, *, joined: bool) -> Claim | None:
        """Read the claim, and judge it. A member stays a member until another claim is seen."""
        try:
            claim = await self._store.read(self._name)
            if claim is None:
                await self._store.write(self._name, Claim(self._target, now_ms()))
                await asyncio.sleep(self._timing.settle_seconds)
                claim = await self._store.read(self._name)
        except ClaimUnknownError as error:
            self.waiting, self.notice = None, _unknown_text(str(error))
            return None
        except KAFKA_FAILURES as error:
            if not joined:
                self.waiting = f"It cannot be looked up whether the destination belongs to this target: {describe(error)}"
            return None
        self._judge(claim)
        return claim

    def _judge(self, claim: Claim | None) -> None:
        self.waiting = self.notice = None
        before = self.problem
        another = claim is not None and claim.target.digest != self._target.digest
        self.problem = _another_target_text(self._name, claim, self._target) if claim and another else None
        if self.problem and self.problem != before:
            log.error("Destination belongs to another target.", destination=self._name, reason=self.problem)
        elif before and self.problem is None:
            log.info("Destination belongs to this target now.", destination=self._name)


def _another_target_text(name: str, claim: Claim, target: Target) -> str:
    return (
        f"The destination {name} has belonged to another target ({claim.target.address}) since {to_iso_seconds(claim.at)}; these settings"
        f" name {target.address}. Nothing is sent there, and the other target goes on. If the target was changed on purpose, run"
        f" `jira-relay destinations confirm {name}` with these settings; if both are wanted, give one another name."
    )


def _unknown_text(reason: str) -> str:
    return (
        f"It is not known whether the destination belongs to this target: {reason} Events are delivered; make sure that no other"
        " settings use its name for another target."
    )
