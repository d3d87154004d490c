"""Faults as they come and heal."""

import asyncio
import itertools
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from sandbox.processes import Child
from simulators.azure import faults as azure_faults
from simulators.azure.world import AzureWorld
from simulators.faults import Planned as Line
from simulators.jira_cloud import faults as jira_faults
from simulators.jira_cloud.site import Site

Kind = Literal["429 of a Jira", "403 of the sink", "producer killed"]

LONGEST_SECONDS = 8.0
ROUND_SECONDS = 120.0
_LOOK_SECONDS = 0.1
_SHARES: tuple[tuple[float, Kind], ...] = (
    (0.12, "429 of a Jira"),
    (0.32, "403 of the sink"),
    (0.6, "producer killed"),
)


@dataclass(frozen=True, slots=True)
class Planned:
    """A fault to come `at` seconds after the first rows, which lasts `seconds`."""

    at: float
    kind: Kind
    seconds: float


def plan(duration: float | None) -> Iterator[Planned]:
    """One of each within `duration`, early enough to heal in it; without end, in rounds, where there is none."""
    length = ROUND_SECONDS if duration is None else duration
    seconds = min(LONGEST_SECONDS, 0.15 * length)
    for number in itertools.count() if duration is None else range(1):
        for share, kind in _SHARES:
            yield Planned((number + share) * length, kind, seconds)


class Faults:
    """Plays a plan, and tells of each fault when it comes and when it has healed. `healing`: how many have not yet."""

    def __init__(
        self, sites: Mapping[str, Site], azure: AzureWorld, producer: Child, say: Callable[[str], None]
    ) -> None:
        self._sites = sites
        self._turns = itertools.cycle(sorted(sites))
        self._azure = azure
        self._producer = producer
        self._say = say
        self._ended = False
        self.healing = 0

    async def play(self, planned: Iterator[Planned]) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        async with asyncio.TaskGroup() as group:
            for fault in planned:
                await asyncio.sleep(max(0.0, began + fault.at - loop.time()))
                if self._ended:
                    return
                group.create_task(self._play(fault))

    async def _play(self, fault: Planned) -> None:
        self.healing += 1
        match fault.kind:
            case "429 of a Jira":
                await self._rate_limited(next(self._turns), fault.seconds)
            case "403 of the sink":
                await self._forbidden(fault.seconds)
            case "producer killed":
                await self._killed()
        self.healing -= 1

    def end(self) -> None:
        """Nothing goes wrong any more; what has gone wrong already may heal."""
        self._ended = True
        self._azure.clear_faults()
        for site in self._sites.values():
            site.script.clear()

    async def _rate_limited(self, name: str, seconds: float) -> None:
        site, pause = self._sites[name], math.ceil(seconds)
        began = _now()
        planned = site.fault(jira_faults.rate_limited(pause), rate=1)
        self._say(f"FAULT   Jira answers {name} with 429 (Retry-After: {pause}) for about {seconds:.0f} s.")
        await _lasting(planned, seconds)
        await self._answered(name, _now())
        early = len(site.too_early())
        manners = "no request came before it was allowed" if not early else f"{early} requests came too early"
        self._say(f"HEALED  {name} is read again after {_now() - began:.1f} s; {manners}.")

    async def _forbidden(self, seconds: float) -> None:
        began = _now()
        planned = self._azure.fault(azure_faults.forbidden(self._azure.rule_id), rate=1)
        self._say(
            f"FAULT   The sink answers 403 for about {seconds:.0f} s, as if the role had been taken away."
        )
        await _lasting(planned, seconds)
        before = self._azure.accepted()
        await _until(lambda: self._azure.accepted() > before)
        self._say(
            f"HEALED  The sink accepts rows again after {_now() - began:.1f} s; Kafka kept them meanwhile."
        )

    async def _killed(self) -> None:
        began = _now()
        self._say(f"FAULT   The producer (process {self._producer.pid}) is killed with SIGKILL.")
        try:
            await self._producer.kill()
        finally:
            await self._producer.start()
            self._producer.release()
        self._say(f"        A new one is started (process {self._producer.pid}).")
        restarted = _now()
        for name in self._sites:
            await self._answered(name, restarted)
        self._say(f"HEALED  Every organization is read again, {_now() - began:.1f} s after the kill.")

    async def _answered(self, name: str, since: float) -> None:
        """Waits until the site has given records, or honestly none, to a request that came after `since`."""
        site = self._sites[name]
        await _until(
            lambda: any(one.at > since and one.status == 200 and not one.fault for one in site.requests())
        )


async def _lasting(planned: Line, seconds: float) -> None:
    """Until somebody has met the fault, and `seconds` at least; then it is over."""
    await asyncio.sleep(seconds)
    await _until(lambda: planned.played > 0)
    planned.cancel()


async def _until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110 - nothing tells when a simulator was asked
        await asyncio.sleep(_LOOK_SECONDS)


def _now() -> float:
    return asyncio.get_running_loop().time()
