from collections.abc import Awaitable, Callable

from relay.timestamps import DAY_MS, now_ms
from simulators import faults
from simulators.azure import faults as azure_faults
from simulators.jira_cloud import faults as jira_faults
from simulators.jira_cloud.site import SimulatedSite
from tests.chaos.context import RoundContext
from tests.chaos.operators import Operators
from tests.chaos.plan import PlannedDisturbance
from tests.chaos.proof_judge import PAST_DAYS
from tests.chaos.traffic import Traffic

MAX_SITES = 16
PAST_RECORDS, PAST_MS = 40, 3_600_000
BROKEN_RESPONSES = (
    faults.reset,
    faults.reset_in_body,
    faults.truncated_body,
    faults.cut_body,
    jira_faults.html,
    jira_faults.server_error,
    jira_faults.anonymous,
    lambda: faults.slow_body(2.0),
)


class AzureFaults:
    """Plays faults of Azure."""

    def __init__(self, context: RoundContext) -> None:
        self._context = context

    async def execute(self, disturbance: PlannedDisturbance) -> bool:
        azure, seconds = self._context.world.azure, disturbance.seconds
        if disturbance.kind == "no token":
            azure.fault(azure_faults.no_token(), on="token", seconds=seconds)
        elif disturbance.kind == "sink resets":
            azure.fault(faults.reset(after_processing=True), seconds=seconds, rate=0.5)
            azure.fault(faults.reset(), seconds=seconds, rate=0.3)
        else:
            fault = {
                "sink 403": azure_faults.forbidden(azure.rule_id),
                "sink 429": azure_faults.throttled(2 if disturbance.variant < 0.5 else None),
                "sink 503": azure_faults.unavailable(503 if disturbance.variant < 0.5 else 500),
            }[disturbance.kind]
            azure.fault(fault, seconds=seconds)
        self._context.log(f"Azure: {disturbance.kind} for {seconds:.1f} s.")
        return True


class OrganizationFaults:
    """Plays faults of Jira sites and edits of operators, one at a time for each organization."""

    def __init__(self, context: RoundContext, operators: Operators, traffic: Traffic) -> None:
        self.sites: list[SimulatedSite] = []
        self.skewed_sites: set[str] = set()
        self._context = context
        self._operators = operators
        self._traffic = traffic
        self._busy: set[str] = set()

    async def add_site(self) -> SimulatedSite:
        """Add a site with past records, and an organization for it."""
        site = await self._context.world.jira.add_site(f"org-{len(self._context.world.jira.sites):02}")
        now = now_ms()
        self._traffic.add_history(site, PAST_RECORDS, now - PAST_MS, now)
        if self._context.world.is_old(site.name):
            self._traffic.add_history(site, PAST_RECORDS, now - PAST_DAYS * DAY_MS, now - PAST_MS)
        for broken in BROKEN_RESPONSES[:5]:
            site.fault(broken(), rate=0.004)
        self.sites.append(site)
        await self._operators.add(site)
        return site

    async def execute(self, disturbance: PlannedDisturbance) -> bool:
        if disturbance.kind == "add":
            return await self._add()
        free = [site for site in self.sites if site.name not in self._busy]
        if not free:
            return False
        site = free[int(disturbance.target * len(free))]
        self._busy.add(site.name)
        try:
            await self._handler(disturbance.kind)(site, disturbance)
        finally:
            self._busy.discard(site.name)
        return True

    def _handler(self, kind: str) -> Callable[[SimulatedSite, PlannedDisturbance], Awaitable[None]]:
        return {
            "429": self._return_errors,
            "503": self._return_errors,
            "resets": self._break_responses,
            "token": self._rotate_key,
            "clock": self._skew_clock,
            "pause": self._pause,
            "modify": self._modify,
            "delete": self._delete,
            "two operators": self._edit_concurrently,
        }[kind]

    async def _add(self) -> bool:
        if len(self._context.world.jira.sites) >= MAX_SITES:
            return False
        site = await self.add_site()
        self._context.log(f"{site.name} was added.")
        return True

    async def _return_errors(self, site: SimulatedSite, disturbance: PlannedDisturbance) -> None:
        wait = (None, 1, 3)[int(disturbance.variant * 3)]
        make = jira_faults.rate_limited if disturbance.kind == "429" else jira_faults.unavailable
        site.fault(make(wait, as_date=disturbance.variant > 0.85), seconds=disturbance.seconds)
        self._context.log(
            f"{site.name}: Jira answers with {disturbance.kind} (Retry-After {wait}) for {disturbance.seconds:.1f} s."
        )
        await self._context.wait(disturbance.seconds)

    async def _break_responses(self, site: SimulatedSite, disturbance: PlannedDisturbance) -> None:
        broken = BROKEN_RESPONSES[int(disturbance.variant * len(BROKEN_RESPONSES))]()
        site.fault(broken, seconds=disturbance.seconds, rate=0.6)
        self._context.log(
            f"{site.name}: Jira's answers are broken ({broken.name}) for {disturbance.seconds:.1f} s."
        )
        await self._context.wait(disturbance.seconds)

    async def _rotate_key(self, site: SimulatedSite, disturbance: PlannedDisturbance) -> None:
        self._context.log(
            f"{site.name}: the token was revoked; the relay gets a new one in {disturbance.seconds:.1f} s."
        )
        await self._operators.rotate_key(site, disturbance.seconds)

    async def _skew_clock(self, site: SimulatedSite, disturbance: PlannedDisturbance) -> None:
        skew = -600 * disturbance.variant if disturbance.variant < 0.6 else 25 * disturbance.variant
        self.skewed_sites.add(site.name)
        site.quirks.clock_skew_seconds = skew
        self._context.log(
            f"{site.name}: Jira's clock is wrong by {skew:.0f} s for {disturbance.seconds:.1f} s."
        )
        await self._context.wait(disturbance.seconds)
        site.quirks.clock_skew_seconds = 0.0

    async def _pause(self, site: SimulatedSite, disturbance: PlannedDisturbance) -> None:
        await self._operators.pause(site.name)
        self._context.log(f"{site.name} was paused for {disturbance.seconds:.1f} s.")
        await self._context.wait(disturbance.seconds)
        await self._operators.resume(site.name)

    async def _modify(self, site: SimulatedSite, disturbance: PlannedDisturbance) -> None:
        await self._operators.modify(site.name, 1 + int(disturbance.variant * 4))
        self._context.log(f"{site.name} was modified.")
        await self._context.wait(disturbance.seconds)
        await self._operators.modify(site.name, None)

    async def _delete(self, site: SimulatedSite, disturbance: PlannedDisturbance) -> None:
        await self._operators.delete(site.name)
        self._context.log(f"{site.name} was deleted; it is added again in {disturbance.seconds:.1f} s.")
        await self._context.wait(disturbance.seconds)
        await self._operators.add(site)

    async def _edit_concurrently(self, site: SimulatedSite, _disturbance: PlannedDisturbance) -> None:
        self._context.log(
            f"{site.name}: two operators at once: {await self._operators.edit_concurrently(site.name)}."
        )

    def clear_faults(self) -> None:
        for site in self.sites:
            site.script.clear()
