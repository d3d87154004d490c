"""Faults of a sandbox: when they begin, what they do, and how their end is detected."""

import asyncio
import itertools
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from sandbox.processes import ServiceProcess
from simulators.azure import faults as azure_faults
from simulators.azure.world import AzureWorld
from simulators.fault_script import ScriptedFault
from simulators.jira_cloud import faults as jira_faults
from simulators.jira_cloud.site import SimulatedSite

FaultKind = Literal["Jira answers 429", "destination answers 403", "producer killed"]

MAX_FAULT_SECONDS = 8.0
ROUND_SECONDS = 120.0
_POLL_SECONDS = 0.1
_SCHEDULE: tuple[tuple[float, FaultKind], ...] = (
    (0.12, "Jira answers 429"),
    (0.32, "destination answers 403"),
    (0.6, "producer killed"),
)


@dataclass(frozen=True, slots=True)
class ScheduledFault:
    """A fault that begins `at` seconds after the first row and lasts `seconds`."""

    at: float
    kind: FaultKind
    seconds: float


def plan_faults(duration: float | None) -> Iterator[ScheduledFault]:
    """Yield one fault of each kind, early enough to heal within `duration` seconds.

    None: yield rounds of two minutes without an end.
    """
    length = ROUND_SECONDS if duration is None else duration
    seconds = min(MAX_FAULT_SECONDS, 0.15 * length)
    for number in itertools.count() if duration is None else range(1):
        for share, kind in _SCHEDULE:
            yield ScheduledFault((number + share) * length, kind, seconds)


class FaultPlayer:
    """Plays planned faults and announces the begin and the end of each. `unhealed` counts those that have not ended."""

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
        """Play the faults at their times, until the last has healed or `end` is called."""
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
            case "Jira answers 429":
                await self._rate_limit_site(next(self._site_names), fault.seconds)
            case "destination answers 403":
                await self._forbid_ingestion(fault.seconds)
            case "producer killed":
                await self._kill_producer()
        self.unhealed -= 1

    def end(self) -> None:
        """Start no further fault, and clear the active ones so that they can heal."""
        self._ended = True
        self._azure.clear_faults()
        for site in self._sites.values():
            site.script.clear()

    async def _rate_limit_site(self, name: str, seconds: float) -> None:
        site, pause = self._sites[name], math.ceil(seconds)
        started = _now()
        scripted = site.fault(jira_faults.rate_limited(pause), rate=1)
        self._announce(
            f"FAULT   Jira answers requests for {name} with 429 (Retry-After: {pause}) for about {seconds:.0f} s."
        )
        await _keep_active(scripted, seconds)
        await self._wait_for_success(name, _now())
        premature = len(site.premature_requests())
        politeness = "no request came too early" if not premature else f"{premature} requests came too early"
        self._announce(
            f"HEALED  The producer reads {name} again after {_now() - started:.1f} s; {politeness}."
        )

    async def _forbid_ingestion(self, seconds: float) -> None:
        started = _now()
        scripted = self._azure.fault(azure_faults.forbidden(self._azure.rule_id), rate=1)
        self._announce(
            f"FAULT   The destination answers 403 for about {seconds:.0f} s, as if the relay had lost its role."
        )
        await _keep_active(scripted, seconds)
        before = self._azure.accepted()
        await _wait_until(lambda: self._azure.accepted() > before)
        self._announce(
            f"HEALED  The destination accepts rows again after {_now() - started:.1f} s; Kafka kept the events."
        )

    async def _kill_producer(self) -> None:
        started = _now()
        self._announce(f"FAULT   SIGKILL ends the producer (process {self._producer.pid}).")
        try:
            await self._producer.kill()
        finally:
            await self._producer.start()
            self._producer.release()
        self._announce(f"        A new producer starts (process {self._producer.pid}).")
        restarted = _now()
        for name in self._sites:
            await self._wait_for_success(name, restarted)
        self._announce(
            f"HEALED  The new producer reads every organization, {_now() - started:.1f} s after the kill."
        )

    async def _wait_for_success(self, name: str, since: float) -> None:
        """Wait until the site has served a request received after `since` without a fault. Monotonic seconds."""
        site = self._sites[name]
        await _wait_until(
            lambda: any(
                one.received_at > since and one.status == 200 and not one.fault for one in site.requests()
            )
        )


async def _keep_active(scripted: ScriptedFault, seconds: float) -> None:
    """Keep a fault for `seconds`, and longer until it was played once; then cancel it."""
    await asyncio.sleep(seconds)
    await _wait_until(lambda: scripted.played > 0)
    scripted.cancel()


async def _wait_until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110 - simulators do not signal requests
        await asyncio.sleep(_POLL_SECONDS)


def _now() -> float:
    return asyncio.get_running_loop().time()
