"""A plain HTTP client of simulated Jira sites."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx

from simulators.jira_cloud.query import format_instant
from simulators.jira_cloud.site import SimulatedSite
from simulators.jira_cloud.world import JiraWorld

RECORDS = "/rest/api/3/auditing/record"
NOW = 1_795_000_000_000


class ManualClock:
    """A clock in ms that a test sets."""

    def __init__(self, now: int = NOW) -> None:
        self.now = now

    def __call__(self) -> int:
        return self.now


@asynccontextmanager
async def running_site(
    clock: Callable[[], int] | None = None, **settings: Any
) -> AsyncIterator[tuple[SimulatedSite, httpx.AsyncClient]]:
    """Yield a site, and a client with its user and token."""
    async with JiraWorld(seed=1, clock=clock) as jira:
        site = await jira.add_site("acme", **settings)
        async with open_client(site) as client:
            yield site, client


def open_client(
    site: SimulatedSite, token: str | None = None, user: str | None = None, base_url: str | None = None
) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        base_url=base_url or site.url, auth=(user or site.user, token or site.token), timeout=240
    )


def format_utc(at: int) -> str:
    """Return an instant in the form that the relay must send."""
    return format_instant(at).replace("+0000", "Z")


async def get_page(client: httpx.AsyncClient, path: str = RECORDS, **query: Any) -> Any:
    answer = await client.get(path, params={name.rstrip("_"): value for name, value in query.items()})
    assert answer.status_code == 200, answer.text
    return answer.json()


async def get_ids(client: httpx.AsyncClient, path: str = RECORDS, **query: Any) -> list[int]:
    return [record["id"] for record in (await get_page(client, path, **query))["records"]]


async def read_all_ids(client: httpx.AsyncClient, **query: Any) -> list[int]:
    """Read pages as Jira's reference describes: the offset grows by the records received, until a page is empty."""
    found: list[int] = []
    while records := (await get_page(client, offset=len(found), **query))["records"]:
        found += [record["id"] for record in records]
    return found
