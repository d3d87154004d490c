from collections.abc import Awaitable, Callable

from relay.timestamps import now_ms
from simulators import faults
from simulators.azure import faults as azure_faults
from simulators.jira_cloud import faults as jira_faults
from simulators.jira_cloud.site import Site
from tests.chaos.course import Course
from tests.chaos.operators import Operators
from tests.chaos.plan import Event
from tests.chaos.traffic import Traffic

MOST_SITES = 16
PAST_RECORDS, PAST_MS = 40, 3_600_000
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


class Sink:
    """What Azure does."""

    def __init__(self, course: Course) -> None:
        self._course = course

    async def do(self, event: Event) -> bool:
        azure, seconds = self._course.world.azure, event.seconds
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
        self._course.say(f"Azure: {event.kind} for {seconds:.1f} s.")
        return True


class Organizations:
    """What their Jira does, and what operators do with them."""

    def __init__(self, course: Course, operators: Operators, traffic: Traffic) -> None:
        self.sites: list[Site] = []
        self.wrong_clocks: set[str] = set()
        self._course = course
        self._operators = operators
        self._traffic = traffic
        self._busy: set[str] = set()

    async def add_site(self) -> Site:
        """One more organization, with a past, followed from now on."""
        site = await self._course.world.jira.add_site(f"org-{len(self._course.world.jira.sites):02}")
        now = now_ms()
        self._traffic.past(site, PAST_RECORDS, now - PAST_MS, now)
        for broken in BROKEN_ANSWERS[:5]:
            site.fault(broken(), rate=0.004)
        self.sites.append(site)
        await self._operators.add(site)
        return site

    async def do(self, event: Event) -> bool:
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
        if len(self._course.world.jira.sites) >= MOST_SITES:
            return False
        site = await self.add_site()
        self._course.say(f"{site.name} added.")
        return True

    async def _refuse(self, site: Site, event: Event) -> None:
        wait = (None, 1, 3)[int(event.how * 3)]
        make = jira_faults.rate_limited if event.kind == "429" else jira_faults.unavailable
        site.fault(make(wait, as_date=event.how > 0.85), seconds=event.seconds)
        self._course.say(
            f"{site.name}: Jira answers {event.kind} (Retry-After {wait}) for {event.seconds:.1f} s."
        )
        await self._course.hold(event.seconds)

    async def _break(self, site: Site, event: Event) -> None:
        broken = BROKEN_ANSWERS[int(event.how * len(BROKEN_ANSWERS))]()
        site.fault(broken, seconds=event.seconds, rate=0.6)
        self._course.say(f"{site.name}: Jira's answers: {broken.name}, for {event.seconds:.1f} s.")
        await self._course.hold(event.seconds)

    async def _rotate(self, site: Site, event: Event) -> None:
        self._course.say(f"{site.name}: the token dies; the relay gets a new one in {event.seconds:.1f} s.")
        await self._operators.rotate(site, event.seconds)

    async def _skew(self, site: Site, event: Event) -> None:
        skew = -600 * event.how if event.how < 0.6 else 25 * event.how
        self.wrong_clocks.add(site.name)
        site.manners.clock_skew_seconds = skew
        self._course.say(f"{site.name}: Jira's clock is wrong by {skew:.0f} s for {event.seconds:.1f} s.")
        await self._course.hold(event.seconds)
        site.manners.clock_skew_seconds = 0.0

    async def _pause(self, site: Site, event: Event) -> None:
        await self._operators.pause(site.name)
        self._course.say(f"{site.name} paused for {event.seconds:.1f} s.")
        await self._course.hold(event.seconds)
        await self._operators.resume(site.name)

    async def _modify(self, site: Site, event: Event) -> None:
        await self._operators.modify(site.name, 1 + int(event.how * 4))
        self._course.say(f"{site.name} modified.")
        await self._course.hold(event.seconds)
        await self._operators.modify(site.name, None)

    async def _delete(self, site: Site, event: Event) -> None:
        await self._operators.delete(site.name)
        self._course.say(f"{site.name} deleted, to be added again in {event.seconds:.1f} s.")
        await self._course.hold(event.seconds)
        await self._operators.add(site)

    async def _two(self, site: Site, _event: Event) -> None:
        self._course.say(
            f"{site.name}: two operators at once: {await self._operators.two_at_once(site.name)}."
        )

    def free_of_faults(self) -> None:
        for site in self.sites:
            site.script.clear()
