"""The Source contract for the audit log of a Jira Cloud site.

The answers to the questions of docs/development/new-source.md, from Atlassian's documentation and from observation:

- Records come newest first, by offset; a new record shifts every page of a window that is still open.
- A record becomes visible up to minutes late, in rare cases days. Deep re-reads are for those.
- `id` is a number of 63 bits, unique in the site for ever, and is the event's id.
- `created` is in ms. `from` and `to` are both inclusive, and nothing is answered where they are equal.
- A window ends at an empty page. `total` counts something else, and pages may be short.
- An empty answer proves nothing: a dead key gets one too. So a second, different question is asked.
- Records are kept for 180 days.
- A site has one budget of requests, and asks for pauses by 429 or 503 with Retry-After.
- The cloud id survives a change of the URL.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import replace
from typing import Final, TypeVar

from producer.events import Event, UnreadableRecord
from producer.sources.clock_skew import ClockSkew
from producer.sources.contract import OnRetry, SourceTraits, ignore_retry
from producer.sources.errors import (
    ErrorKind,
    RequestContext,
    RetryAction,
    SourceError,
    SourceFailure,
)
from producer.sources.jira_cloud import client as jira
from producer.sources.jira_cloud.allowed_hosts import AllowedHosts
from producer.sources.jira_cloud.auth import Endpoint, open_endpoint
from producer.sources.jira_cloud.broken_page import BrokenRecords
from producer.sources.jira_cloud.current_key import CurrentKey
from producer.sources.jira_cloud.mapping import restore_json, to_event
from producer.sources.jira_cloud.messages import make_failure
from producer.sources.jira_cloud.misplaced import MisplacedRecords
from producer.sources.jira_cloud.page import Page
from producer.sources.jira_cloud.pager import PageRequest
from producer.sources.jira_cloud.raw_record import parse_record
from producer.sources.jira_cloud.request import JiraClient
from producer.sources.jira_cloud.window_proof import contradiction_failure, contradicts, is_inconclusive
from producer.sources.jira_cloud.window_reader import TRANSIENT, JiraCloudLimits, WindowReader
from producer.sources.purpose import Purpose
from producer.sources.throttle import BackoffTiming, RequestSlots, RequestThrottle, SiteThrottle
from producer.sources.window_result import WindowResult
from producer.state.intervals import TimeRange
from relay.credentials.resolver import CredentialResolver
from relay.errors import RelayError
from relay.organizations import Organization
from relay.url_policy import UrlError, split_url

PROBE_DISTANCES: Final = (0, 1, 10)

T = TypeVar("T")


def throttle_key(organization: Organization) -> str:
    """Return the site: its cloud id where it is known, else its URL."""
    return organization.cloud_id or organization.url


class JiraCloudSource:
    """The audit log of one organization's site."""

    def __init__(
        self,
        organization: Organization,
        site_throttle: SiteThrottle,
        slots: RequestSlots,
        client: JiraClient,
        credentials: CredentialResolver,
        hosts: AllowedHosts,
        now_ms: Callable[[], int],
        backoff: BackoffTiming,
        limits: JiraCloudLimits,
    ) -> None:
        self.clock_skew = ClockSkew()
        self.identity = organization.cloud_id
        self.organization = organization
        self.throttle_key = throttle_key(organization)
        self.traits = SourceTraits(page_records=limits.paging.page_records)
        self._key = CurrentKey(organization, credentials)
        self._throttle = RequestThrottle(site_throttle, slots, self._key.fingerprint, backoff)
        self._client = client
        self._hosts = hosts
        self._now_ms = now_ms
        self._limits = limits
        self._broken_records = BrokenRecords()
        self._misplaced = MisplacedRecords()
        self._identity_failures = 0
        self._identity_bound = False

    async def read(
        self, window: TimeRange, purpose: Purpose = Purpose.LIVE, *, on_retry: OnRetry = ignore_retry
    ) -> AsyncGenerator[WindowResult, None]:
        """Yield results for the parts of a window; see `Source.read`."""
        reader = WindowReader(
            self.organization, self.fetch_page, self._throttle, self._limits, self._misplaced
        )
        async with aclosing(reader.read(window, purpose, on_retry)) as results:
            async for result in results:
                yield result

    async def fetch_page(self, request: PageRequest, purpose: Purpose = Purpose.LIVE) -> Page:
        """Fetch one page. `to` is at least a millisecond after `from`: if they are equal, Jira answers nothing."""
        until = max(request.until_ms, request.from_ms + 1)
        return await self._request(
            lambda endpoint: jira.fetch_page(
                self._client,
                endpoint,
                request.from_ms,
                until,
                request.offset,
                request.limit,
                limits=self._limits.request,
                read_broken=self._broken_records.read,
            ),
            purpose,
        )

    async def bind_identity(self, bound_to: str | None) -> None:
        """Learn the site's cloud id once, and refuse another than the one this organization is bound to.

        A site that never tells its id is believed, since not every server with Jira's API knows the question; one that
        does not answer is asked a few times first. Through the gateway the id is part of the address: a known id needs no
        question, and without one there is no way.
        """
        await self._throttle.wait_until_allowed(Purpose.LIVE)
        self._require_same_site({self.organization.cloud_id, self.identity, bound_to})
        if self._identity_bound:
            return
        if not (self.organization.gateway and self.identity):
            await self._fetch_identity(bound_to)
        self._identity_bound = True

    async def _fetch_identity(self, bound_to: str | None) -> None:
        organization = self.organization

        async def fetch() -> jira.TenantInfo | None:
            try:
                self._hosts.check(organization.url)
            except UrlError as error:
                failure = SourceFailure(ErrorKind.NO_KEY, f"{organization.name}: {error}")
                raise self._throttle.back_off(failure) from error
            found = await jira.tenant_info(
                self._client, organization.name, organization.url, limits=self._limits.request
            )
            if isinstance(found, jira.TenantInfo):
                return found
            may_pass = found.action in TRANSIENT and self._identity_failures < self._limits.identity_attempts
            if may_pass or organization.gateway:
                self._identity_failures += 1
                raise self._throttle.back_off(found)
            return None

        if (found := await self._throttle.run(fetch)) is not None:
            self._require_same_site({organization.cloud_id, bound_to, found.cloud_id})
            self.identity = found.cloud_id

    def _require_same_site(self, cloud_ids: set[str | None]) -> None:
        if len(cloud_ids - {None}) > 1:
            host = split_url(self.organization.url)[0].authority
            context = RequestContext(self.organization.name, host)
            raise self._throttle.back_off(make_failure(ErrorKind.OTHER_SITE, context))

    async def verify_empty(self, empty: TimeRange, purpose: Purpose = Purpose.LIVE) -> None:
        """Ask for the newest record without dates. Returns if it is of another time, or if Jira has no readable record
        but knows the user. If it came just after the window, or has no readable time, a page of the newest shows others.
        """
        newest = await self._probe_near(0, purpose)
        created = self._created(newest)
        if newest.records and (not created or any(is_inconclusive(empty, ms) for ms in created)):
            created += await self._created_before_newest(purpose)
        if not created:
            await self._request(self._verify_login, purpose)
        if any(contradicts(empty, ms) for ms in created):
            raise self._throttle.back_off(contradiction_failure(self.organization.name), purpose)

    async def _created_before_newest(self, purpose: Purpose) -> list[int]:
        """Return when the records of a page of the newest were created; of a smaller page where Jira fails to serve a larger."""
        for count in (self._limits.paging.page_records, 10):
            try:
                return self._created(await self._probe(purpose, count=count))
            except SourceError as error:
                if error.action is not RetryAction.RETRY:
                    raise
        return []

    def _created(self, page: Page) -> list[int]:
        """Return when each readable record of a page was created, in ms."""
        events = (to_event(record, self.organization.name) for record in page.records)
        return [event["created"] for event in events if not isinstance(event, UnreadableRecord)]

    async def _verify_login(self, endpoint: Endpoint) -> jira.Account | SourceFailure:
        found = await jira.myself(self._client, endpoint, limits=self._limits.request)
        if isinstance(found, SourceFailure) and found.kind is ErrorKind.SCOPE_MISSING:
            return jira.Account("")  # the gateway checks the key before its scopes
        return found

    async def probe_clock(self) -> int | None:
        """Ask for one record. Return Jira's clock in ms, which its Date header gives in whole seconds."""
        return (await self._probe_near(0, Purpose.LIVE)).date_ms

    async def oldest(self, purpose: Purpose = Purpose.LIVE) -> int | None:
        """Return `created` of the last readable record (ms). None: there are none, or none of the last ten is readable."""
        newest = await self._probe_near(0, purpose)
        if not newest.total:
            return None
        last = self._created(await self._probe_near(newest.total - 1, purpose, step=-1))
        if not last:
            last = self._created(await self._probe(purpose, max(0, newest.total - 10), count=10))
        return last[-1] if last else None

    def restore(self, event: Event) -> bytes:
        """Return the JSON of the record that the event was made from; nulls are gone, and UTC is written as Jira does."""
        return restore_json(event)

    def parse_record(self, raw: bytes) -> Event | UnreadableRecord:
        """Return the event of the record of a dead letter."""
        return parse_record(raw, self.organization.name)

    async def _probe_near(self, offset: int, purpose: Purpose, step: int = 1) -> Page:
        """Fetch the record at `offset`, or one beside it where Jira fails to serve that one."""
        for distance in PROBE_DISTANCES[:-1]:
            try:
                return await self._probe(purpose, max(0, offset + step * distance))
            except SourceError as error:
                if error.action is not RetryAction.RETRY:
                    raise
        return await self._probe(purpose, max(0, offset + step * PROBE_DISTANCES[-1]))

    async def _probe(self, purpose: Purpose, offset: int = 0, count: int = 1) -> Page:
        """Fetch records without dates. A page that is too large is a broken answer: nobody asks for a smaller one."""
        try:
            return await self._request(
                lambda endpoint: jira.probe(
                    self._client,
                    endpoint,
                    offset,
                    count,
                    limits=self._limits.request,
                    read_broken=self._broken_records.read,
                ),
                purpose,
            )
        except SourceError as error:
            if error.action is not RetryAction.REDUCE_PAGE:
                raise
            failure = replace(error.failure, kind=ErrorKind.BROKEN_ANSWER)
            raise self._throttle.back_off(failure, purpose) from error

    async def _request(self, call: Callable[[Endpoint], Awaitable[T | SourceFailure]], purpose: Purpose) -> T:
        """Wait for the turn, read the key as it is now, send one request, and learn Jira's clock from the answer."""

        async def send() -> T:
            sent_ms = self._now_ms()
            try:
                found = await self._key.call(lambda key: call(self._open_endpoint(key)), self._throttle)
            except RelayError as error:
                found = SourceFailure(ErrorKind.NO_KEY, str(error))
            date_ms = getattr(found, "date_ms", None)
            self.clock_skew = self.clock_skew.observe(sent_ms, self._now_ms(), date_ms)
            if isinstance(found, SourceFailure):
                raise self._throttle.back_off(found, purpose)
            self._throttle.succeeded(purpose)
            return found

        await self._throttle.wait_until_allowed(purpose)
        await self._key.prepare()
        return await self._throttle.run(send, purpose)

    def _open_endpoint(self, key: str) -> Endpoint:
        organization = self.organization
        return open_endpoint(
            organization.name,
            organization.url,
            organization.user,
            key,
            self._hosts,
            gateway=organization.gateway,
            cloud_id=self.identity,
        )
