"""Faults of a sandbox: when they begin, what they do, and how their end is detected."""

import asyncio
import itertools
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from sandbox.destinations.contract import ActiveFault, DestinationPeer
from sandbox.processes import ServiceProcess
from simulators.jira_cloud import faults as jira_faults
from simulators.jira_cloud.site import SimulatedSite

FaultKind = Literal["Jira answers 429", "destination refuses", "producer killed"]

MAX_FAULT_SECONDS = 8.0
ROUND_SECONDS = 120.0
_POLL_SECONDS = 0.1
_SCHEDULE: tuple[tuple[float, FaultKind], ...] = (
    (0.12, "Jira answers 429"),
    (0.32, "destination refuses"),
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
        destinations: Mapping[str, DestinationPeer],
        producer: ServiceProcess,
        announce: Callable[[str], None],
    ) -> None:
        self._sites = sites
        self._site_names = itertools.cycle(sorted(sites))
        self._destinations = destinations
        self._destination_names = itertools.cycle(destinations)
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
            case "destination refuses":
                await self._refuse_rows(next(self._destination_names), fault.seconds)
            case "producer killed":
                await self._kill_producer()
        self.unhealed -= 1

    def end(self) -> None:
        """Start no further fault, and clear the active ones so that they can heal."""
        self._ended = True
        for peer in self._destinations.values():
            peer.clear_faults()
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

    async def _refuse_rows(self, name: str, seconds: float) -> None:
        peer, started = self._destinations[name], _now()
        fault, how = peer.refuse()
        others = {other: _count_rows(each) for other, each in self._destinations.items() if other != name}
        self._announce(f"FAULT   {name} refuses every request for about {seconds:.0f} s, {how}.")
        await _keep_active(fault, seconds)
        before = _count_rows(peer)
        went_on = "".join(
            f" Meanwhile {other} took {_count_rows(self._destinations[other]) - count:,} rows."
            for other, count in others.items()
        )
        await _wait_until(lambda: _count_rows(peer) > before)
        self._announce(
            f"HEALED  {name} accepts rows again after {_now() - started:.1f} s; Kafka kept the events.{went_on}"
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


def _count_rows(peer: DestinationPeer) -> int:
    return sum(len(peer.rows(history=history)) for history in (False, True))


async def _keep_active(fault: ActiveFault, seconds: float) -> None:
    """Keep a fault for `seconds`, and longer until it was played once; then cancel it."""
    await asyncio.sleep(seconds)
    await _wait_until(lambda: fault.played > 0)
    fault.cancel()


async def _wait_until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110 - simulators do not signal requests
        await asyncio.sleep(_POLL_SECONDS)


def _now() -> float:
    return asyncio.get_running_loop().time()
