import asyncio
import random
from collections.abc import Callable

from sandbox.expected import created_ms
from simulators.jira_cloud.site import Site


class Traffic:
    """Makes records happen at the sites, and knows from when on each could be seen."""

    def __init__(self, seed: int, now_ms: Callable[[], int]) -> None:
        self.visible: dict[tuple[str, int], int] = {}
        """By site and id: the moment (ms) from which Jira showed it."""
        self._chance = random.Random(f"traffic {seed}")
        self._now_ms = now_ms

    def past(self, site: Site, count: int, since: int, until: int) -> None:
        for at in sorted(self._chance.randrange(since, until) for _ in range(count)):
            self._note(site, site.happen(created=at)["id"], at, 0)

    async def run(self, sites: list[Site], rate: float) -> None:
        """About `rate` happenings a second over all sites, until cancelled; some are whole projects or bursts."""
        while True:
            await asyncio.sleep(self._chance.expovariate(rate))
            self._happen(self._chance.choice(sites))

    def reveal(self, sites: list[Site]) -> None:
        """Everything that happened can be seen now."""
        now = self._now_ms()
        for site in sites:
            for number in site.hidden:
                self.visible[site.name, number] = min(now, self.visible.get((site.name, number), now))
            site.reveal()

    def _happen(self, site: Site) -> None:
        draw = self._chance.random()
        if draw < 0.01:
            at = site.now()
            for record in site.create_project(created=at):
                self._note(site, record["id"], created_ms(record), 0)
        elif draw < 0.03:
            at = site.now()
            for record in site.happen_many(self._chance.randint(2, 150), created=at):
                self._note(site, record["id"], at, 0)
        else:
            self._one(site, self._late(draw))

    def _late(self, draw: float) -> float:
        """Seconds until it can be seen."""
        if draw < 0.1:
            return self._chance.uniform(0, 10)
        return self._chance.uniform(60, 100) if draw < 0.12 else 0.0

    def _one(self, site: Site, late: float) -> None:
        at = site.now()
        self._note(site, site.happen(created=at, visible_after=late)["id"], at, late)

    def _note(self, site: Site, number: int, created: int, late: float) -> None:
        skew = site.now() - self._now_ms()
        self.visible[site.name, number] = max(self._now_ms() + round(late * 1000), created - skew)
