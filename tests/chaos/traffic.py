import asyncio
import random
from collections.abc import Callable

from sandbox.expected import created_ms
from simulators.jira_cloud.site import SimulatedSite


class Traffic:
    """Creates records at the sites, and records when each became visible."""

    def __init__(self, seed: int, now_ms: Callable[[], int]) -> None:
        self.visible_from: dict[tuple[str, int], int] = {}
        """Instant (ms UTC) from which Jira served a record, by site and id."""
        self._rng = random.Random(f"traffic {seed}")
        self._now_ms = now_ms

    def add_history(self, site: SimulatedSite, count: int, since: int, until: int) -> None:
        for at in sorted(self._rng.randrange(since, until) for _ in range(count)):
            self._record_visibility(site, site.add_record(created=at)["id"], at, 0)

    async def run(self, sites: list[SimulatedSite], rate: float) -> None:
        """Create about `rate` records a second over all sites, until cancelled; some are projects or bursts."""
        while True:
            await asyncio.sleep(self._rng.expovariate(rate))
            self._add_records(self._rng.choice(sites))

    def reveal(self, sites: list[SimulatedSite]) -> None:
        """Make every hidden record visible now."""
        now = self._now_ms()
        for site in sites:
            for record_id in site.hidden:
                self.visible_from[site.name, record_id] = min(
                    now, self.visible_from.get((site.name, record_id), now)
                )
            site.reveal()

    def _add_records(self, site: SimulatedSite) -> None:
        draw = self._rng.random()
        if draw < 0.01:
            at = site.now()
            for record in site.create_project(created=at):
                self._record_visibility(site, record["id"], created_ms(record), 0)
        elif draw < 0.03:
            at = site.now()
            for record in site.add_records(self._rng.randint(2, 150), created=at):
                self._record_visibility(site, record["id"], at, 0)
        else:
            self._add_record(site, self._draw_delay(draw))

    def _draw_delay(self, draw: float) -> float:
        """Return the seconds until a record becomes visible."""
        if draw < 0.1:
            return self._rng.uniform(0, 10)
        return self._rng.uniform(60, 100) if draw < 0.12 else 0.0

    def _add_record(self, site: SimulatedSite, delay_seconds: float) -> None:
        at = site.now()
        self._record_visibility(
            site, site.add_record(created=at, visible_after=delay_seconds)["id"], at, delay_seconds
        )

    def _record_visibility(
        self, site: SimulatedSite, record_id: int, created: int, delay_seconds: float
    ) -> None:
        skew = site.now() - self._now_ms()
        self.visible_from[site.name, record_id] = max(
            self._now_ms() + round(delay_seconds * 1000), created - skew
        )
