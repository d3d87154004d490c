import signal
from collections.abc import Awaitable, Callable

from tests.chaos.course import Course
from tests.chaos.plan import Event
from tests.chaos.proxy import END_TXN, JOIN_GROUP, OFFSET_COMMIT, PRODUCE, Mode, Stage
from tests.chaos.slot import Slot

AIM_SECONDS = 6.0
STAGES: tuple[Stage, ...] = ("instead", "before", "after", "after", "answered")
PAUSES = (0.0, 0.0, 0.002, 0.02)


class Processes:
    """What is done to processes and their wires."""

    def __init__(self, course: Course) -> None:
        self._course = course

    async def do(self, event: Event) -> bool:
        free = [slot for slot in self._course.world.slots if not slot.busy]
        if not free:
            return False
        slot = free[int(event.target * len(free))]
        slot.busy = True
        try:
            async with self._course.disturbing(sink=slot.consumes and event.kind != "stop"):
                await self._deed(event.kind)(slot, event)
        finally:
            slot.busy = False
        return True

    def _deed(self, kind: str) -> Callable[[Slot, Event], Awaitable[None]]:
        return {
            "kill": self._kill,
            "aimed kill": self._kill,
            "stop": self._stop,
            "freeze": self._freeze,
            "aimed freeze": self._freeze,
            "cut": self._cut,
            "slow": self._slow,
        }.get(kind, self._wire)

    async def _kill(self, slot: Slot, event: Event) -> None:
        when = await self._aim(slot, event, lambda: slot.signal(signal.SIGKILL))
        away = event.seconds if event.how < 0.3 else event.how
        self._course.say(f"{slot.name} (process {slot.pid}) killed{when}; a new one in {away:.1f} s.")
        await slot.kill()
        await self._course.hold(away)
        await slot.start()

    async def _stop(self, slot: Slot, event: Event) -> None:
        self._course.say(f"{slot.name} (process {slot.pid}) stopped with SIGTERM.")
        if wrong := await slot.stop():
            self._course.say(wrong)
            self._course.unclean.append(wrong)
        await self._course.hold(event.how)
        await slot.start()

    async def _freeze(self, slot: Slot, event: Event) -> None:
        when = await self._aim(slot, event, lambda: slot.signal(signal.SIGSTOP))
        self._course.say(f"{slot.name} (process {slot.pid}) frozen{when} for {event.seconds:.1f} s.")
        await self._course.hold(event.seconds)
        slot.signal(signal.SIGCONT)

    async def _cut(self, slot: Slot, _event: Event) -> None:
        self._course.say(f"{slot.name}: connections to Kafka cut.")
        slot.proxy.cut()

    async def _slow(self, slot: Slot, event: Event) -> None:
        slot.proxy.delay_seconds = 0.6 * event.how
        self._course.say(
            f"{slot.name}: wire slow by {0.6 * event.how:.2f} s each way for {event.seconds:.1f} s."
        )
        await self._course.hold(event.seconds)
        slot.proxy.delay_seconds = 0.0

    async def _wire(self, slot: Slot, event: Event) -> None:
        name = event.kind.removeprefix("aimed ")
        mode = {"refuse": Mode.REFUSED, "hole": Mode.HOLE, "mute": Mode.MUTE}[name]
        when = await self._aim(slot, event, lambda: slot.proxy.set(mode))
        self._course.say(f"{slot.name}: wire to Kafka: {mode.value}{when} for {event.seconds:.1f} s.")
        await self._course.hold(event.seconds)
        slot.proxy.set(Mode.OPEN)

    async def _aim(self, slot: Slot, event: Event, act: Callable[[], None]) -> str:
        """Act, if aimed in the middle of a request; returns when that was, in words."""
        if not event.kind.startswith("aimed"):
            act()
            return ""
        names = (
            {OFFSET_COMMIT: "an offset commit", JOIN_GROUP: "a join of the group"}
            if slot.consumes
            else {END_TXN: "the end of a transaction", PRODUCE: "a produce request"}
        )
        request = list(names)[event.how > 0.7]
        stage, pause = self._course.chance.choice(STAGES), self._course.chance.choice(PAUSES)
        if await slot.proxy.trapped(request, act, stage, pause, AIM_SECONDS):
            return f" {stage if stage != 'instead' else 'in place of'} {names[request]}"
        act()
        return ""
