from contextlib import asynccontextmanager

import httpx

from simulators.jira_cloud.query import format_instant
from simulators.jira_cloud.world import JiraWorld

RECORDS = "/rest/api/3/auditing/record"
NOW = 1_795_000_000_000


class ManualClock:
    """A clock in ms UTC that a test sets."""

    def __init__(self, now=NOW):
        self.now = now

    def __call__(self):
        return self.now


@asynccontextmanager
async def running_site(clock=None, **settings):
    """Run a site; yield it and a client with its user and token."""
    async with JiraWorld(seed=1, clock=clock) as jira:
        site = await jira.add_site("acme", **settings)
        async with open_client(site) as client:
            yield site, client


def open_client(site, token=None, user=None, base_url=None):
    return httpx.AsyncClient(
        base_url=base_url or site.url, auth=(user or site.user, token or site.token), timeout=5
    )


def format_utc(at):
    """Return an instant (ms UTC) in the form of a request of the relay."""
    return format_instant(at).replace("+0000", "Z")


async def get_page(client, path=RECORDS, **query):
    answer = await client.get(path, params={name.rstrip("_"): value for name, value in query.items()})
    assert answer.status_code == 200, answer.text
    return answer.json()


async def get_ids(client, path=RECORDS, **query):
    return [record["id"] for record in (await get_page(client, path, **query))["records"]]


async def read_all_ids(client, **query):
    """Read pages until an empty one, with the count of received records as offset; return the ids."""
    found = []
    while records := (await get_page(client, offset=len(found), **query))["records"]:
        found += [record["id"] for record in records]
    return found
