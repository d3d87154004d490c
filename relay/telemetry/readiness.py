"""Say when a process is ready, with its organizations and destinations, and what to do next."""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Never

import structlog

from relay.quantities import quantity
from relay.telemetry.health import Health

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class ReadinessTiming:
    """How often readiness is looked at, and how long the counts must be stable: an `apply` adds one after the other."""

    check_seconds: float = 0.5
    quiet_seconds: float = 2.0


class Announcement:
    """Decides when to say that the process is ready: once, and again when its counts have changed. Pure."""

    def __init__(self, quiet_seconds: float) -> None:
        self._quiet_seconds = quiet_seconds
        self._announced: Mapping[str, int] | None = None
        self._seen: Mapping[str, int] | None = None
        self._seen_at = 0.0

    def due(self, counts: Mapping[str, int], *, ready: bool, now: float) -> bool:
        """Return whether to announce these counts at `now`, in seconds."""
        if counts != self._seen:
            self._seen, self._seen_at = dict(counts), now
        if not ready or counts == self._announced or now - self._seen_at < self._quiet_seconds:
            return False
        self._announced = dict(counts)
        return True


async def announce_readiness(health: Health, timing: ReadinessTiming | None = None) -> Never:
    """Log each announcement until cancelled."""
    timing = timing or ReadinessTiming()
    announcement = Announcement(timing.quiet_seconds)
    while True:
        if announcement.due(health.counts, ready=not health.problems(), now=time.monotonic()):
            log.info(ready_text(health.counts))
        await asyncio.sleep(timing.check_seconds)


def ready_text(counts: Mapping[str, int]) -> str:
    """Return the line: `Ready: 4 organizations, 1 destination.` and the next step. A console alone counts nothing."""
    counted = ", ".join(quantity(count, noun) for noun, count in sorted(counts.items(), reverse=True))
    return f"{f'Ready: {counted}' if counted else 'Ready'}. {_next_step(counts)}"


def _next_step(counts: Mapping[str, int]) -> str:
    if counts.get("organization") == 0:
        return "Add an organization with `jira-relay organizations add`."
    if counts.get("destination") == 0:
        return "Events stay in Kafka for 30 days; to deliver them, set a destination and start again."
    if "organization" in counts:
        return "See their state with `jira-relay organizations list`."
    return "If events do not arrive, run `jira-relay check`."
