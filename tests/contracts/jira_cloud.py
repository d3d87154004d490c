"""The world of the source `jira-cloud`: a simulated site."""

import asyncio
from contextlib import asynccontextmanager

from producer.sources.catalogue import ProducerSettings
from producer.sources.errors import ErrorKind, RetryAction
from relay.organizations import Organization
from simulators import faults
from simulators.jira_cloud import faults as jira_faults
from simulators.jira_cloud.hostile import make_hostile_record, make_mistyped_record
from simulators.jira_cloud.world import JiraWorld
from tests.support.jira import StubCredentials
from tests.support.jira_records import without_nulls

FAULTS = {
    "401": (faults.respond_with(401), ErrorKind.KEY_REFUSED, RetryAction.FIX),
    "403": (faults.respond_with(403), ErrorKind.FORBIDDEN, RetryAction.FIX),
    "404": (faults.respond_with(404), ErrorKind.NOT_THE_API, RetryAction.FIX),
    "429": (jira_faults.rate_limited(1), ErrorKind.RATE_LIMITED, RetryAction.WAIT),
    "500": (faults.respond_with(500), ErrorKind.UNAVAILABLE, RetryAction.RETRY),
    "reset": (faults.reset(), ErrorKind.UNREACHABLE, RetryAction.RETRY),
    "html": (jira_faults.html(), ErrorKind.BROKEN_ANSWER, RetryAction.RETRY),
    "truncated": (faults.cut_body(), ErrorKind.BROKEN_ANSWER, RetryAction.RETRY),
}


class JiraCloudWorld:
    several_results = 10_500
    too_many_of_one_ms = 10_000
    has_http = has_clock = has_identity = empty_proves_nothing = True

    def __init__(self, site, gateway_url):
        self.site = site
        self.faults = {name: (kind, action) for name, (_, kind, action) in FAULTS.items()}
        self.key = site.token
        self.config = ProducerSettings(gateway_url=gateway_url)
        self.credentials = StubCredentials()
        self.credentials.keys[site.name] = site.token

    def organization(self, **fields):
        return Organization(self.site.name, self.site.url, self.site.user, 0, 0, 1, **fields)

    def add(self, created, count=1):
        return self.site.add_records(count, created=created)

    def add_odd_records(self, created):
        return [
            self.site.add_record(make(self.site.record_generator), created=created)
            for make in (make_hostile_record, make_mistyped_record)
            for _ in range(10)
        ]

    def as_restored(self, record):
        return without_nulls(record)

    def small_pages(self):
        self.site.quirks.page_cap = 50

    def after_requests(self, count, action):
        self.site.after_pages(count, action)

    def delete_newest(self, count):
        self.site.delete_newest(count)

    def fault(self, name, *, times):
        fault = FAULTS[name][0]
        return self.site.fault(fault, times=times) if times else self.site.fault(fault, rate=1.0)

    def hang(self, skip):
        return HangingRequest(self.site.fault(faults.hang(), times=1, skip=skip))

    def set_clock(self, ahead_seconds):
        self.site.quirks.clock_skew_seconds = ahead_seconds

    def reject_key(self):
        self.site.quirks.anonymous_when_refused = True
        self.credentials.keys[self.site.name] = "wrong"


class HangingRequest:
    def __init__(self, fault):
        self._fault = fault

    async def reached(self):
        while not self._fault.played:
            await asyncio.sleep(0.01)

    def cancel(self):
        self._fault.cancel()


@asynccontextmanager
async def jira_cloud_world(_directory):
    async with JiraWorld(seed=3) as jira:
        yield JiraCloudWorld(await jira.add_site("acme"), jira.gateway_url)
