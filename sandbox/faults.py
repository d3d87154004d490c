"""Faults as they come and heal."""

import asyncio
import itertools
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from sandbox.processes import ServiceProcess
from simulators.azure import faults as azure_faults
from simulators.azure.world import AzureWorld
from simulators.faults import ScriptedFault
from simulators.jira_cloud import faults as jira_faults
from simulators.jira_cloud.site import SimulatedSite

FaultKind = Literal["429 of a Jira", "403 of the sink", "producer killed"]

MAX_FAULT_SECONDS = 8.0
ROUND_SECONDS = 120.0
_POLL_SECONDS = 0.1
_SCHEDULE: tuple[tuple[float, FaultKind], ...] = (
    (0.12, "429 of a Jira"),
    (0.32, "403 of the sink"),
    (0.6, "producer killed"),
)


@dataclass(frozen=True, slots=True)
class ScheduledFault:
    """A fault to come `at` seconds after the first rows, which lasts `seconds`."""

    at: float
    kind: FaultKind
    seconds: float


def plan_faults(duration: float | None) -> Iterator[ScheduledFault]:
    """One of each within `duration`, early enough to heal in it; without end, in rounds, where there is none."""
    length = ROUND_SECONDS if duration is None else duration
    seconds = min(MAX_FAULT_SECONDS, 0.15 * length)
    for number in itertools.count() if duration is None else range(1):
        for share, kind in _SCHEDULE:
            yield ScheduledFault((number + share) * length, kind, seconds)


class FaultPlayer:
    """Plays a plan, and tells of each fault when it comes and when it has healed. `unhealed`: how many have not yet."""

    def __init__(
        self,
        sites: Mapping[str, SimulatedSite],
        azure: AzureWorld,
        producer: ServiceProcess,
        announce: Callable[[str], None],
    ) -> None:
        self._sites = sites
        self._site_names = itertools.cycle(sorted(sites))
        self._azure = azure
        self._producer = producer
        self._announce = announce
        self._ended = False
        self.unhealed = 0

    async def play(self, schedule: Iterator[ScheduledFault]) -> None:
        loop = asyncio.get_running_loop()
        started = loop.time()
        async with asyncio.TaskGroup() as group:
            for fault in schedule:
                await asyncio.sleep(max(0.0, started + fault.at - loop.time()))
                if self._ended:
                    return
                group.create_task(self._play(fault))

    async def _play(self, fault: ScheduledFault) -> None:
        self.unhealed += 1
        match fault.kind:
            case "429 of a Jira":
                await self._rate_limit_site(next(self._site_names), fault.seconds)
            case "403 of the sink":
                await self._forbid_ingestion(fault.seconds)
            case "producer killed":
                await self._kill_producer()
        self.unhealed -= 1

    def end(self) -> None:
        """Nothing goes wrong any more; what has gone wrong already may heal."""
        self._ended = True
        self._azure.clear_faults()
        for site in self._sites.values():
            site.script.clear()

    async def _rate_limit_site(self, name: str, seconds: float) -> None:
        site, pause = self._sites[name], math.ceil(seconds)
        started = _now()
        scripted = site.fault(jira_faults.rate_limited(pause), rate=1)
        self._announce(
            f"FAULT   Jira answers {name} with 429 (Retry-After: {pause}) for about {seconds:.0f} s."
        )
        await _keep_active(scripted, seconds)
        await self._wait_for_success(name, _now())
        premature = len(site.premature_requests())
        politeness = (
            "no request came before it was allowed"
            if not premature
            else f"{premature} requests came too early"
        )
        self._announce(f"HEALED  {name} is read again after {_now() - started:.1f} s; {politeness}.")

    async def _forbid_ingestion(self, seconds: float) -> None:
        started = _now()
        scripted = self._azure.fault(azure_faults.forbidden(self._azure.rule_id), rate=1)
        self._announce(
            f"FAULT   The sink answers 403 for about {seconds:.0f} s, as if the role had been taken away."
        )
        await _keep_active(scripted, seconds)
        before = self._azure.accepted()
        await _wait_until(lambda: self._azure.accepted() > before)
        self._announce(
            f"HEALED  The sink accepts rows again after {_now() - started:.1f} s; Kafka kept them meanwhile."
        )

    async def _kill_producer(self) -> None:
        started = _now()
        self._announce(f"FAULT   The producer (process {self._producer.pid}) is killed with SIGKILL.")
        try:
            await self._producer.kill()
        finally:
            await self._producer.start()
            self._producer.release()
        self._announce(f"        A new one is started (process {self._producer.pid}).")
        restarted = _now()
        for name in self._sites:
            await self._wait_for_success(name, restarted)
        self._announce(f"HEALED  Every organization is read again, {_now() - started:.1f} s after the kill.")

    async def _wait_for_success(self, name: str, since: float) -> None:
        """Waits until the site has given records, or honestly none, to a request that came after `since`."""
        site = self._sites[name]
        await _wait_until(
            lambda: any(
                one.received_at > since and one.status == 200 and not one.fault for one in site.requests()
            )
        )


async def _keep_active(scripted: ScriptedFault, seconds: float) -> None:
    """Until somebody has met the fault, and `seconds` at least; then it is over."""
    await asyncio.sleep(seconds)
    await _wait_until(lambda: scripted.played > 0)
    scripted.cancel()


async def _wait_until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110 - nothing tells when a simulator was asked
        await asyncio.sleep(_POLL_SECONDS)


def _now() -> float:
    return asyncio.get_running_loop().time()
