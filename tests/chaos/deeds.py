"""How each event of a plan is done, and undone."""

import asyncio
import contextlib
import random
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager

from embedded.errors import EmbeddedKafkaError
from relay.kafka.topics import Topics
from sandbox import azure_faults, faults, jira_faults
from sandbox.jira_site import Site
from tests.chaos import plan, tail
from tests.chaos.operators import Operators
from tests.chaos.plan import Event
from tests.chaos.proxy import END_TXN, JOIN_GROUP, OFFSET_COMMIT, PRODUCE, Mode, Stage
from tests.chaos.slot import Slot
from tests.chaos.traffic import Traffic
from tests.chaos.world import World, now_ms

AIM_SECONDS = 6.0
MOST_SITES = 16
PAST_RECORDS, PAST_MS = 40, 3_600_000

STAGES: tuple[Stage, ...] = ("instead", "before", "after", "after", "answered")
PAUSES = (0.0, 0.0, 0.002, 0.02)
BROKEN_ANSWERS = (
    faults.reset,
    faults.reset_in_body,
    faults.truncated,
    faults.cut,
    jira_faults.html,
    jira_faults.server_error,
    jira_faults.anonymous,
    lambda: faults.slow_body(2.0),
)


class Deeds:
    """Does what is planned until it is over; then everything heals."""

    def __init__(
        self, world: World, operators: Operators, traffic: Traffic, seed: int, say: Callable[[str], None]
    ) -> None:
        self.sites: list[Site] = []
        self.done: Counter[str] = Counter()
        self.unrest: list[tuple[float, float]] = []
        """When (seconds since 1970) the way from Kafka to the sink was disturbed."""
        self.wrong_clocks: set[str] = set()
        self.unclean: list[str] = []
        self._world = world
        self._operators = operators
        self._traffic = traffic
        self._chance = random.Random(f"deeds {seed}")
        self._say = say
        self._over = asyncio.Event()
        self._busy: set[str] = set()
        self._kafka_busy = False

    async def add_site(self) -> Site:
        """One more organization, with a past, followed from now on."""
        site = await self._world.jira.add_site(f"org-{len(self._world.jira.sites):02}")
        now = now_ms()
        self._traffic.past(site, PAST_RECORDS, now - PAST_MS, now)
        for broken in BROKEN_ANSWERS[:5]:
            site.fault(broken(), rate=0.004)
        self.sites.append(site)
        await self._operators.add(site)
        return site

    async def play(self, events: Iterable[Event], seconds: float) -> None:
        """Returns when `seconds` have passed and all is as it was, as far as we did it."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        async with asyncio.TaskGroup() as group:
            for event in events:
                await asyncio.sleep(max(0.0, began + event.at - loop.time()))
                group.create_task(self._do(event))
            await asyncio.sleep(max(0.0, began + seconds - loop.time()))
            self._over.set()

    async def _do(self, event: Event) -> None:
        if event.kind in plan.PROCESS:
            deed = self._to_process(event)
        elif event.kind in plan.KAFKA:
            deed = self._to_kafka(event)
        elif event.kind in plan.SINK:
            deed = self._to_sink(event)
        else:
            deed = self._to_organization(event)
        if await deed:
            self.done[event.kind] += 1

    async def _hold(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._over.wait()

    @asynccontextmanager
    async def _disturbing(self, *, sink: bool) -> AsyncIterator[None]:
        began = time.time()
        try:
            yield
        finally:
            if sink:
                self.unrest.append((began, time.time()))

    # processes and their wires

    async def _to_process(self, event: Event) -> bool:
        free = [slot for slot in self._world.slots if not slot.busy]
        if not free:
            return False
        slot = free[int(event.target * len(free))]
        slot.busy = True
        try:
            async with self._disturbing(sink=slot.consumes and event.kind != "stop"):
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
        self._say(f"{slot.name} (process {slot.pid}) killed{when}; a new one in {away:.1f} s.")
        await slot.kill()
        await self._hold(away)
        await slot.start()

    async def _stop(self, slot: Slot, event: Event) -> None:
        self._say(f"{slot.name} (process {slot.pid}) stopped with SIGTERM.")
        if wrong := await slot.stop():
            self._say(wrong)
            self.unclean.append(wrong)
        await self._hold(event.how)
        await slot.start()

    async def _freeze(self, slot: Slot, event: Event) -> None:
        when = await self._aim(slot, event, lambda: slot.signal(signal.SIGSTOP))
        self._say(f"{slot.name} (process {slot.pid}) frozen{when} for {event.seconds:.1f} s.")
        await self._hold(event.seconds)
        slot.signal(signal.SIGCONT)

    async def _cut(self, slot: Slot, _event: Event) -> None:
        self._say(f"{slot.name}: connections to Kafka cut.")
        slot.proxy.cut()

    async def _slow(self, slot: Slot, event: Event) -> None:
        slot.proxy.delay_seconds = 0.6 * event.how
        self._say(f"{slot.name}: wire slow by {0.6 * event.how:.2f} s each way for {event.seconds:.1f} s.")
        await self._hold(event.seconds)
        slot.proxy.delay_seconds = 0.0

    async def _wire(self, slot: Slot, event: Event) -> None:
        name = event.kind.removeprefix("aimed ")
        mode = {"refuse": Mode.REFUSED, "hole": Mode.HOLE, "mute": Mode.MUTE}[name]
        when = await self._aim(slot, event, lambda: slot.proxy.set(mode))
        self._say(f"{slot.name}: wire to Kafka: {mode.value}{when} for {event.seconds:.1f} s.")
        await self._hold(event.seconds)
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
        stage, pause = self._chance.choice(STAGES), self._chance.choice(PAUSES)
        if await slot.proxy.trapped(request, act, stage, pause, AIM_SECONDS):
            return f" {stage if stage != 'instead' else 'in place of'} {names[request]}"
        act()
        return ""

    # Kafka

    async def _to_kafka(self, event: Event) -> bool:
        if self._kafka_busy:
            return False
        self._kafka_busy = True
        try:
            async with self._disturbing(sink=True):
                await self._end_kafka(event)
                await self._hold(event.seconds)
                await self._start_kafka()
                self._say("Kafka is back.")
        finally:
            self._kafka_busy = False
        return True

    async def _end_kafka(self, event: Event) -> None:
        kafka, when = self._world.kafka, ""
        if event.kind == "kafka stop":
            self._say(f"Kafka stopped with SIGTERM, away for {event.seconds:.1f} s.")
            await kafka.stop()
            return
        if event.kind == "aimed kafka kill":
            when = await self._aim_at_kafka()
        kafka.kill()
        if event.kind == "lost tail":
            await kafka.died()
            when = self._cut_a_tail(event)
        self._say(f"Kafka killed{when}, away for {event.seconds:.1f} s.")

    def _cut_a_tail(self, event: Event) -> str:
        """What was lost, in words."""
        topics = Topics(self._world.connection.kafka.topic_prefix)
        topic = self._chance.choice((topics.events, topics.events, topics.progress, topics.backfill))
        shard = int(event.target * self._world.connection.kafka.shards)
        batches = 1 + int(event.how * 6)
        lost = tail.cut(self._world.directory / "kafka" / "log" / f"{topic}-{shard}", batches)
        return f", and the last {lost} batches of {topic}, partition {shard}, lost"

    async def _aim_at_kafka(self) -> str:
        producers = [slot for slot in self._world.slots if not slot.consumes]
        stage: Stage = self._chance.choice(("after", "answered", "answered"))
        pause = self._chance.choice((0.0, 0.001, 0.002, 0.004))
        waiting = {
            asyncio.ensure_future(
                slot.proxy.trapped(END_TXN, self._world.kafka.kill, stage, pause, AIM_SECONDS)
            )
            for slot in producers
        }
        done, late = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        for each in late:
            each.cancel()
        if late:
            await asyncio.wait(late)
        hit = any(each.result() for each in done)
        did = "answered" if stage == "answered" else "got"
        return f" when it had {did} the end of a transaction" if hit else ""

    async def _start_kafka(self) -> None:
        for _ in range(5):
            try:
                await self._world.kafka.start()
            except EmbeddedKafkaError as error:
                self._say(f"Kafka did not start: {error}")
                await asyncio.sleep(1)
            else:
                return
        raise AssertionError("Kafka cannot be started again.")

    # the sink

    async def _to_sink(self, event: Event) -> bool:
        azure, seconds = self._world.azure, event.seconds
        if event.kind == "no token":
            azure.fault(azure_faults.no_token(), on="token", seconds=seconds)
        elif event.kind == "sink resets":
            azure.fault(faults.reset(effective=True), seconds=seconds, rate=0.5)
            azure.fault(faults.reset(), seconds=seconds, rate=0.3)
        else:
            fault = {
                "sink 403": azure_faults.forbidden(azure.rule_id),
                "sink 429": azure_faults.throttled(2 if event.how < 0.5 else None),
                "sink 503": azure_faults.unavailable(503 if event.how < 0.5 else 500),
            }[event.kind]
            azure.fault(fault, seconds=seconds)
        self._say(f"Azure: {event.kind} for {seconds:.1f} s.")
        return True

    # organizations and their Jira

    async def _to_organization(self, event: Event) -> bool:
        if event.kind == "add":
            return await self._add()
        free = [site for site in self.sites if site.name not in self._busy]
        if not free:
            return False
        site = free[int(event.target * len(free))]
        self._busy.add(site.name)
        try:
            await self._deed_at(event.kind)(site, event)
        finally:
            self._busy.discard(site.name)
        return True

    def _deed_at(self, kind: str) -> Callable[[Site, Event], Awaitable[None]]:
        return {
            "429": self._refuse,
            "503": self._refuse,
            "resets": self._break,
            "token": self._rotate,
            "clock": self._skew,
            "pause": self._pause,
            "modify": self._modify,
            "delete": self._delete,
            "two operators": self._two,
        }[kind]

    async def _add(self) -> bool:
        if len(self._world.jira.sites) >= MOST_SITES:
            return False
        site = await self.add_site()
        self._say(f"{site.name} added.")
        return True

    async def _refuse(self, site: Site, event: Event) -> None:
        wait = (None, 1, 3)[int(event.how * 3)]
        make = jira_faults.rate_limited if event.kind == "429" else jira_faults.unavailable
        site.fault(make(wait, as_date=event.how > 0.85), seconds=event.seconds)
        self._say(f"{site.name}: Jira answers {event.kind} (Retry-After {wait}) for {event.seconds:.1f} s.")
        await self._hold(event.seconds)

    async def _break(self, site: Site, event: Event) -> None:
        broken = BROKEN_ANSWERS[int(event.how * len(BROKEN_ANSWERS))]()
        site.fault(broken, seconds=event.seconds, rate=0.6)
        self._say(f"{site.name}: Jira's answers: {broken.name}, for {event.seconds:.1f} s.")
        await self._hold(event.seconds)

    async def _rotate(self, site: Site, event: Event) -> None:
        self._say(f"{site.name}: the token dies; the relay gets a new one in {event.seconds:.1f} s.")
        await self._operators.rotate(site, event.seconds)

    async def _skew(self, site: Site, event: Event) -> None:
        skew = -600 * event.how if event.how < 0.6 else 25 * event.how
        self.wrong_clocks.add(site.name)
        site.manners.clock_skew_seconds = skew
        self._say(f"{site.name}: Jira's clock is wrong by {skew:.0f} s for {event.seconds:.1f} s.")
        await self._hold(event.seconds)
        site.manners.clock_skew_seconds = 0.0

    async def _pause(self, site: Site, event: Event) -> None:
        await self._operators.pause(site.name)
        self._say(f"{site.name} paused for {event.seconds:.1f} s.")
        await self._hold(event.seconds)
        await self._operators.resume(site.name)

    async def _modify(self, site: Site, event: Event) -> None:
        await self._operators.modify(site.name, 1 + int(event.how * 4))
        self._say(f"{site.name} modified.")
        await self._hold(event.seconds)
        await self._operators.modify(site.name, None)

    async def _delete(self, site: Site, event: Event) -> None:
        await self._operators.delete(site.name)
        self._say(f"{site.name} deleted, to be added again in {event.seconds:.1f} s.")
        await self._hold(event.seconds)
        await self._operators.add(site)

    async def _two(self, site: Site, _event: Event) -> None:
        self._say(f"{site.name}: two operators at once: {await self._operators.two_at_once(site.name)}.")


def free_of_faults(world: World, sites: Sequence[Site]) -> None:
    world.azure.clear_faults()
    for site in sites:
        site.script.clear()
