"""The membership of one process in the groups of a flow, while they belong to the target of its settings."""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Protocol

import structlog

from consumer.destinations.contract import Flow
from consumer.targets.store import ClaimUnknownError, claim_key
from consumer.targets.target import Claim, Claims, Pause, Target
from consumer.timing import TargetTiming
from relay.aio import Signal, cancel_all
from relay.errors import describe
from relay.kafka import KAFKA_FAILURES, KafkaError
from relay.timestamps import now_ms, to_iso_seconds

log = structlog.get_logger(__name__)

RunMembership = Callable[[], Coroutine[Any, Any, None]]
"""Stays a member of a group until it is cancelled."""


class ClaimLog(Protocol):
    """Where the claims are: `consumer.targets.store.ClaimStore`."""

    async def read(self, destination: str, flow: Flow) -> Claims: ...

    async def write(self, destination: str, flow: Flow, claim: Claim) -> None: ...


class TargetGuard:
    """Runs the memberships of one flow only while its destination runs and its name is claimed for this target.

    It says why it does not.

    1. Two settings files with one name and different targets would share a group, and each target would get a part of the events.
       So the process of another target is no member at all: it owns no partition that the other could read.
    2. The log of claims decides. A process joins when it has read its own claim, or an equal one, as the one that counts; a
       claim that arrives later changes nothing. So two that claim at once can never both be right.
    3. No partition begins before the claim was read again, after its assignment (`require_own`). So of two that are members at
       once, as after a confirmation that one of them has not read yet, only one sends.
    4. Where the claim cannot be read for good, the process goes on as without claims, and the status says so.
    5. A destination that an operator has paused has no member either, so its offsets may be set.
    """

    def __init__(
        self, name: str, flow: Flow, target: Target, store: ClaimLog, timing: TargetTiming | None = None
    ) -> None:
        self._key = claim_key(name, flow)
        self._name = name
        self._flow = flow
        self._target = target
        self._store = store
        self._timing = timing or TargetTiming()
        self._judged = Signal()
        self._looking = asyncio.Lock()
        self.problem: str | None = None
        """Why an operator must act; None: the name belongs to this target, or that is not known."""
        self.pause: str | None = None
        """Which operator has paused the destination, since when, and how it goes on; None: none has, or that is not known."""
        self.paused_at: int | None = None
        """Since when it is paused, in ms UTC; None: as for `pause`."""
        self.waiting: str | None = "looking up whether the destination belongs to this target"
        """Why the process does not join yet; None: it has looked."""
        self.notice: str | None = None
        """Why it is not known whose the name is; None: it is known."""
        self.claimed_at: int | None = None
        """Since when the name belongs to this target, in ms UTC; None: that is not known."""

    async def run(self, memberships: Sequence[RunMembership]) -> None:
        """Join whenever the name belongs to this target, until cancelled. Raises the exception that ended a membership."""
        while True:
            if await self._may_join():
                await self._serve(memberships)
            else:
                await asyncio.sleep(self._timing.interval_seconds)

    @property
    def reason_to_leave(self) -> str | None:
        """Why this process may not be a member; None: it may, or that is not known."""
        return self.problem or self.pause

    @property
    def address(self) -> str:
        """The target of these settings, in words."""
        return self._target.address

    async def require_own(self) -> None:
        """Read the claim. Raises KafkaError while it is another target's or the destination is paused.

        Raises an error of KAFKA_FAILURES if Kafka does not answer.
        """
        await self._look()
        if self.reason_to_leave is not None:
            raise KafkaError(self.reason_to_leave.removesuffix("."))

    async def _serve(self, memberships: Sequence[RunMembership]) -> None:
        tasks = {asyncio.create_task(run(), name=f"membership for {self._key}") for run in memberships}
        tasks.add(asyncio.create_task(self._until_it_must_leave(), name=f"claim of {self._key}"))
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            await cancel_all(tasks, attempts=1, seconds=self._timing.release_seconds)

    async def _until_it_must_leave(self) -> None:
        """Look now and then. A member stays a member until another claim or a pause is seen."""
        while self.reason_to_leave is None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._timing.interval_seconds):
                    await self._judged.wait()  # by require_own
                    continue
            with contextlib.suppress(*KAFKA_FAILURES):
                await self._look()

    async def _may_join(self) -> bool:
        try:
            claim = await self._look()
        except KAFKA_FAILURES as error:
            self.waiting = (
                f"Kafka does not say whether the destination belongs to this target: {describe(error).rstrip('.')}."
                " Check that Kafka runs and is reachable"
            )
            return False
        if self.reason_to_leave is not None:
            return False
        if claim is not None and claim.confirmed:
            # The process of the former target notices at its next look, and then waits for its answers.
            age = max(0.0, (now_ms() - claim.at) / 1000)  # of another machine's clock
            await asyncio.sleep(max(0.0, self._timing.handover_seconds - age))
        return True

    async def _look(self) -> Claim | None:
        """Read the claim, and judge it; claim the name where it has no claim. None: the claim cannot be read for good.

        Raises an error of KAFKA_FAILURES where a later look may tell.
        """
        async with self._looking:  # an older answer must not be judged after a newer one
            before, claim = self.reason_to_leave, None
            try:
                claim, claims = await self._read_or_claim()
            except ClaimUnknownError as error:
                self.waiting, self.notice = None, _unknown_text(str(error))
                if error.state is not None:
                    self._judge_pause(error.state)
            else:
                self._judge(claim)
                self._judge_pause(claims)
            if self.reason_to_leave != before:
                self._judged.notify()
            return claim

    async def _read_or_claim(self) -> tuple[Claim, Claims]:
        claims = await self._store.read(self._name, self._flow)
        if claims.current is None:
            await self._store.write(self._name, self._flow, Claim(self._target, now_ms()))
            claims = await self._store.read(self._name, self._flow)
        if claims.current is None:
            raise KafkaError("a claim was written, and is not on the topic yet")
        if claims.may_be_lost:
            with contextlib.suppress(*KAFKA_FAILURES):  # the next look, or another process, writes it
                await self._store.write(self._name, self._flow, claims.current)
        return claims.current, claims

    def _judge_pause(self, claims: Claims) -> None:
        """Follow the pause. One that was known holds while its record cannot be read."""
        if claims.pause_unknown is not None:
            self.notice = _pause_unknown_text(claims.pause_unknown, self._name)
        else:
            self.pause = None if claims.pause is None else _paused_text(self._name, claims.pause)
            self.paused_at = None if claims.pause is None else claims.pause.at

    def _judge(self, claim: Claim) -> None:
        self.waiting = self.notice = None
        self.claimed_at = claim.at
        before = self.problem
        another = claim.target.digest != self._target.digest
        self.problem = _another_target_text(self._name, self._flow, claim, self._target) if another else None
        if self.problem and self.problem != before:
            log.error(
                "Destination belongs to another target.",
                destination=self._name,
                flow=self._flow,
                reason=self.problem,
            )
        elif before and self.problem is None:
            log.info("Destination belongs to this target now.", destination=self._name, flow=self._flow)


def _another_target_text(name: str, flow: Flow, claim: Claim, target: Target) -> str:
    return (
        f"The {flow} flow of the destination {name} has belonged to another target ({claim.target.address}) since {to_iso_seconds(claim.at)}; these settings"
        f" name {target.address}. Nothing is sent there, and the other target goes on. If the target was changed on purpose, run"
        f" `jira-relay destinations confirm {name}` with these settings; if both are wanted, give one another name."
    )


def _paused_text(name: str, pause: Pause) -> str:
    return (
        f"{pause.who} paused the destination {name} at {to_iso_seconds(pause.at)}. Its events wait in Kafka, as long as the topic"
        f" keeps them. Run `jira-relay destinations resume {name}` to go on where it stopped."
    )


def _pause_unknown_text(reason: str, name: str) -> str:
    return (
        f"It is not known whether an operator has paused the destination: {reason} Events are delivered, unless a"
        f" pause was seen before. Run `jira-relay destinations pause {name}` or `jira-relay destinations resume {name}` of this release,"
        " which replace the record."
    )


def _unknown_text(reason: str) -> str:
    return (
        f"It is not known whether the destination belongs to this target: {reason} Events are delivered; make sure that no other"
        " settings use its name for another target."
    )
