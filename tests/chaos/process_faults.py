import contextlib
import os
import signal
from collections.abc import Awaitable, Callable

from tests.chaos.context import RoundContext
from tests.chaos.plan import CHILD_KINDS, PlannedDisturbance
from tests.chaos.process_slot import ProcessSlot
from tests.support.kafka_proxy import END_TXN, JOIN_GROUP, OFFSET_COMMIT, PRODUCE, ProxyMode, Stage

AIM_TIMEOUT_SECONDS = 6.0
CHILD_FAILURE_SECONDS = 30.0
"""Within which a consumer must end after its child process; it stops its own deliveries first."""
STAGES: tuple[Stage, ...] = ("instead", "before", "after", "after", "answered")
PAUSES = (0.0, 0.0, 0.002, 0.02)


class ProcessFaults:
    """Plays faults of processes and of their connections to Kafka, one at a time for each process."""

    def __init__(self, context: RoundContext) -> None:
        self._context = context

    async def execute(self, disturbance: PlannedDisturbance) -> bool:
        free = [slot for slot in self._context.world.slots if not slot.busy]
        if disturbance.kind in CHILD_KINDS:
            free = [slot for slot in free if slot.is_consumer and slot.child_pid is not None]
        if not free:
            return False
        slot = free[int(disturbance.target * len(free))]
        slot.busy = True
        try:
            async with self._context.recording_disturbance(
                sink=slot.is_consumer and disturbance.kind != "stop"
            ):
                await self._handler(disturbance.kind)(slot, disturbance)
        finally:
            slot.busy = False
        return True

    def _handler(self, kind: str) -> Callable[[ProcessSlot, PlannedDisturbance], Awaitable[None]]:
        return {
            "kill": self._kill,
            "aimed kill": self._kill,
            "stop": self._stop,
            "freeze": self._freeze,
            "aimed freeze": self._freeze,
            "cut": self._reset_connections,
            "slow": self._delay_connection,
            "child kill": self._kill_child,
            "child freeze": self._freeze_child,
        }.get(kind, self._break_connection)

    async def _kill(self, slot: ProcessSlot, disturbance: PlannedDisturbance) -> None:
        when = await self._aim(slot, disturbance, lambda: slot.signal(signal.SIGKILL))
        away = disturbance.seconds if disturbance.variant < 0.3 else disturbance.variant
        self._context.log(
            f"{slot.name} (process {slot.pid}) was killed{when}; a new one starts in {away:.1f} s."
        )
        await slot.kill()
        await self._context.wait(away)
        await slot.start()

    async def _stop(self, slot: ProcessSlot, disturbance: PlannedDisturbance) -> None:
        self._context.log(f"{slot.name} (process {slot.pid}) gets SIGTERM.")
        if problem := await slot.stop():
            self._context.log(problem)
            self._context.stop_problems.append(problem)
        await self._context.wait(disturbance.variant)
        await slot.start()

    async def _freeze(self, slot: ProcessSlot, disturbance: PlannedDisturbance) -> None:
        when = await self._aim(slot, disturbance, lambda: slot.signal(signal.SIGSTOP))
        self._context.log(
            f"{slot.name} (process {slot.pid}) was frozen{when} for {disturbance.seconds:.1f} s."
        )
        await self._context.wait(disturbance.seconds)
        slot.signal(signal.SIGCONT)

    async def _kill_child(self, slot: ProcessSlot, disturbance: PlannedDisturbance) -> None:
        """Kill the second process of a consumer. The first one must end by itself, and is started again."""
        if (child := slot.child_pid) is None:
            return
        self._context.log(f"{slot.name}: its child process {child} was killed.")
        os.kill(child, signal.SIGKILL)
        if problem := await slot.wait_for_failure(CHILD_FAILURE_SECONDS):
            self._context.log(problem)
            self._context.stop_problems.append(problem)
        await self._context.wait(disturbance.variant)
        await slot.start()

    async def _freeze_child(self, slot: ProcessSlot, disturbance: PlannedDisturbance) -> None:
        if (child := slot.child_pid) is None:
            return
        self._context.log(
            f"{slot.name}: its child process {child} was frozen for {disturbance.seconds:.1f} s."
        )
        os.kill(child, signal.SIGSTOP)
        await self._context.wait(disturbance.seconds)
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGCONT)

    async def _reset_connections(self, slot: ProcessSlot, _disturbance: PlannedDisturbance) -> None:
        self._context.log(f"{slot.name}: its connections to Kafka were reset.")
        slot.proxy.reset_connections()

    async def _delay_connection(self, slot: ProcessSlot, disturbance: PlannedDisturbance) -> None:
        slot.proxy.delay_seconds = 0.6 * disturbance.variant
        self._context.log(
            f"{slot.name}: its connection to Kafka is slower by {0.6 * disturbance.variant:.2f} s each way"
            f" for {disturbance.seconds:.1f} s."
        )
        await self._context.wait(disturbance.seconds)
        slot.proxy.delay_seconds = 0.0

    async def _break_connection(self, slot: ProcessSlot, disturbance: PlannedDisturbance) -> None:
        name = disturbance.kind.removeprefix("aimed ")
        mode = {"refuse": ProxyMode.REFUSED, "hole": ProxyMode.BLACK_HOLE, "mute": ProxyMode.DROP_RESPONSES}[
            name
        ]
        when = await self._aim(slot, disturbance, lambda: slot.proxy.set_mode(mode))
        self._context.log(
            f"{slot.name}: its connection to Kafka is broken ({mode.value}){when} for {disturbance.seconds:.1f} s."
        )
        await self._context.wait(disturbance.seconds)
        slot.proxy.set_mode(ProxyMode.OPEN)

    async def _aim(
        self, slot: ProcessSlot, disturbance: PlannedDisturbance, action: Callable[[], None]
    ) -> str:
        """Call `action` now, or at a request if the fault is aimed. Return that moment as the end of a clause."""
        if not disturbance.kind.startswith("aimed"):
            action()
            return ""
        names = (
            {OFFSET_COMMIT: "an offset commit", JOIN_GROUP: "a join of the group"}
            if slot.is_consumer
            else {END_TXN: "the end of a transaction", PRODUCE: "a produce request"}
        )
        request = list(names)[disturbance.variant > 0.7]
        stage, pause = self._context.rng.choice(STAGES), self._context.rng.choice(PAUSES)
        if await slot.proxy.run_at_request(request, action, stage, pause, AIM_TIMEOUT_SECONDS):
            return f" {stage if stage != 'instead' else 'in place of'} {names[request]}"
        action()
        return ""
