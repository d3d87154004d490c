"""One Jira site as we may ask it: one request at a time, not before it wants to be asked, with the key as it is now."""

import asyncio
import hashlib
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import nullcontext
from dataclasses import asdict
from typing import TypeVar
from zlib import crc32

import httpx

from producer.events import UnreadableRecord
from producer.sources.clock_skew import ClockSkew
from producer.sources.errors import ErrorKind, RequestTarget, RetryAction, SourceFailure, make_failure
from producer.sources.jira_cloud import client as jira
from producer.sources.jira_cloud.auth import Endpoint, open_endpoint
from producer.sources.jira_cloud.mapping import to_event
from producer.sources.jira_cloud.page import Page
from producer.sources.jira_cloud.pager import PageRequest
from producer.sources.throttle import Backoff, RequestSlots, SiteThrottle
from producer.state.intervals import TimeRange
from relay.credentials.resolver import CredentialResolver
from relay.credentials.url_policy import AllowedHosts, UrlError, split_url
from relay.errors import RelayError, SecretError
from relay.organizations import Organization
from relay.retry import backoff_seconds

KEY_CHECK_SECONDS = 2.0
FIRST_SECONDS = {RetryAction.RETRY: 2.0, RetryAction.WAIT: 5.0, RetryAction.FIX: 15.0}
CAP_SECONDS = {RetryAction.RETRY: 60.0, RetryAction.WAIT: 300.0, RetryAction.FIX: 300.0}
LOGIN_FAILURES = {ErrorKind.KEY_REFUSED, ErrorKind.ANONYMOUS, ErrorKind.CAPTCHA, ErrorKind.KEY_TYPE}
LOGIN_FAILURE_SECONDS = 60.0
MOST_IDENTITY_FAILURES = 3


T = TypeVar("T")


class SourceError(Exception):
    """Jira gave no answer that could be used; its failure says why, and what is to be done."""

    def __init__(self, failure: SourceFailure, retry_seconds: float = 0.0) -> None:
        super().__init__(failure.message)
        self.failure = failure
        self.retry_seconds = retry_seconds


class JiraCloudSources:
    """The sites of the organizations that are ours; what a site asked for outlives a change of its organization."""

    def __init__(
        self,
        clients: Sequence[httpx.AsyncClient],
        credentials: CredentialResolver,
        hosts: AllowedHosts,
        now_ms: Callable[[], int],
    ) -> None:
        self._clients = clients
        self._credentials = credentials
        self._hosts = hosts
        self._now_ms = now_ms
        self._slots = RequestSlots()
        self._throttles: dict[str, SiteThrottle] = {}
        self._sources: dict[str, JiraCloudSource] = {}

    def source_for(self, organization: Organization) -> "JiraCloudSource":
        """The same as before where nothing has changed: a refused key is not tried anew because Kafka had a fault."""
        source = self._sources.get(organization.name)
        if source is None or source.organization != organization:
            throttle = self._throttles.setdefault(organization.cloud_id or organization.url, SiteThrottle())
            client = self._clients[crc32(organization.name.encode()) % len(self._clients)]
            source = JiraCloudSource(
                organization, throttle, self._slots, client, self._credentials, self._hosts, self._now_ms
            )
            self._sources[organization.name] = source
        return source

    def remove(self, organization: str) -> None:
        self._sources.pop(organization, None)


class JiraCloudSource:
    """The site of one organization. Whatever is asked waits for its turn first; SourceError says what went wrong."""

    def __init__(
        self,
        organization: Organization,
        throttle: SiteThrottle,
        slots: RequestSlots,
        client: httpx.AsyncClient,
        credentials: CredentialResolver,
        hosts: AllowedHosts,
        now_ms: Callable[[], int],
    ) -> None:
        self.clock_skew = ClockSkew()
        self.cloud_id = organization.cloud_id
        self.organization = organization
        self._throttle = throttle
        self._slots = slots
        self._client = client
        self._credentials = credentials
        self._hosts = hosts
        self._now_ms = now_ms
        self._failure_count = 0
        self._backoff: Backoff | None = None
        self._last_key_fingerprint: bytes | None = None
        """The print of the key of the last request: by its answer there may be another."""
        self._identity_failures = 0
        self._identity_bound = False

    async def bind_identity(self, bound_to: str | None) -> None:
        """Learn once which site stands behind the URL, and refuse another than the one this organization is bound to.

        A site that does not tell is believed, since not all that speak Jira's API do; one that does not answer is asked
        again some times before. Through the gateway the id is part of the address: where it is known it needs no asking, and
        else there is no way around it.
        """
        await self._wait_until_allowed()
        self._require_same_site({self.organization.cloud_id, bound_to})
        if self._identity_bound:
            return
        if not (self.organization.gateway and self.cloud_id):
            await self._fetch_cloud_id(bound_to)
        self._identity_bound = True

    async def _fetch_cloud_id(self, bound_to: str | None) -> None:
        organization = self.organization

        async def fetch() -> jira.TenantInfo | None:
            try:
                self._hosts.check(organization.url)
            except UrlError as error:
                raise self.back_off(
                    SourceFailure(ErrorKind.NO_KEY, f"{organization.name}: {error}")
                ) from error
            found = await jira.tenant_info(self._client, organization.name, organization.url)
            if isinstance(found, jira.TenantInfo):
                return found
            transient = (
                found.action in {RetryAction.RETRY, RetryAction.WAIT}
                and self._identity_failures < MOST_IDENTITY_FAILURES
            )
            if transient or organization.gateway:
                self._identity_failures += 1
                raise self.back_off(found)
            return None

        if (found := await self._throttled(fetch)) is not None:
            self._require_same_site({organization.cloud_id, bound_to, found.cloud_id})
            self.cloud_id = found.cloud_id

    def _require_same_site(self, cloud_ids: set[str | None]) -> None:
        if len(cloud_ids - {None}) > 1:
            host = split_url(self.organization.url)[0].authority
            raise self.back_off(
                make_failure(ErrorKind.OTHER_SITE, RequestTarget(self.organization.name, host))
            )

    async def probe_clock(self) -> int | None:
        """Ask for no more than a sign of life, from which Jira's clock is learned: what it shows, in whole seconds (ms)."""
        return (await self._request(lambda endpoint: jira.probe(self._client, endpoint))).date_ms

    async def fetch_page(self, request: PageRequest, *, low_priority: bool = False) -> Page:
        """One page. Jira gives nothing unless `to` is after `from` (jira-api 1.1), so one instant is asked for as two.

        `low_priority`: others may go first.
        """
        until = max(request.until_ms, request.from_ms + 1)
        return await self._request(
            lambda endpoint: jira.fetch_page(
                self._client, endpoint, request.from_ms, until, request.offset, request.limit
            ),
            low_priority=low_priority,
        )

    async def verify_nonempty(self, empty: TimeRange) -> None:
        """Return only if Jira, which showed nothing in a window, shows that it does answer us: with a record of another
        time, or, where it has none at all, by knowing who we are.
        """
        newest = await self._request(lambda endpoint: jira.probe(self._client, endpoint))
        if not newest.records:
            await self._request(self._verify_login)
            return
        event = to_event(newest.records[0], self.organization.name)
        if not isinstance(event, UnreadableRecord) and contradicts(empty, event["created"]):
            raise self.back_off(_contradiction_failure(self.organization))

    async def _verify_login(self, endpoint: Endpoint) -> jira.Account | SourceFailure:
        found = await jira.myself(self._client, endpoint)
        if isinstance(found, SourceFailure) and found.kind is ErrorKind.SCOPE_MISSING:
            return jira.Account("")  # the gateway knows the key before it looks at scopes
        return found

    async def oldest(self) -> int | None:
        """When the oldest record that Jira keeps was created; None: not to be learned."""
        newest = await self._request(lambda endpoint: jira.probe(self._client, endpoint))
        if not newest.total:
            return None
        last = await self._request(
            lambda endpoint: jira.probe(self._client, endpoint, (newest.total or 1) - 1)
        )
        events = [to_event(record, self.organization.name) for record in last.records]
        return next((event["created"] for event in events if not isinstance(event, UnreadableRecord)), None)

    async def _request(
        self, call: Callable[[Endpoint], Awaitable[T | SourceFailure]], *, low_priority: bool = False
    ) -> T:
        """Wait for the turn, find the key as it is now, ask once."""

        async def send() -> T:
            sent_ms = self._now_ms()
            try:
                found = await call(self._open_endpoint())
            except RelayError as error:
                found = SourceFailure(ErrorKind.NO_KEY, str(error))
            self.clock_skew = self.clock_skew.observe(
                sent_ms, self._now_ms(), getattr(found, "date_ms", None)
            )
            if isinstance(found, SourceFailure):
                raise self.back_off(found)
            self._failure_count = 0
            return found

        return await self._throttled(send, low_priority=low_priority)

    async def _throttled(self, send: Callable[[], Awaitable[T]], *, low_priority: bool = False) -> T:
        """Ask when the site is open and nobody else is asking it. What `send` refuses holds back the next already.

        While a site is left alone nobody takes a slot for it: a few that refuse us would leave none to the others.
        """
        slot = self._slots.low_priority if low_priority else nullcontext()
        while True:
            await self._wait_until_allowed()
            async with slot, self._throttle.lock:
                if self._blocked_until() > time.monotonic():  # by the one whose turn was before
                    continue
                async with self._slots.all:
                    return await send()

    def back_off(self, failure: SourceFailure) -> SourceError:
        """Leave the site alone after a failure, longer each time; too large an answer can be asked for in parts at once."""
        action = failure.action
        if action is RetryAction.REDUCE_PAGE:
            return SourceError(failure)
        seconds = backoff_seconds(
            self._failure_count,
            random.random(),
            first=LOGIN_FAILURE_SECONDS if failure.kind in LOGIN_FAILURES else FIRST_SECONDS[action],
            cap=CAP_SECONDS[action],
            minimum=failure.retry_after_seconds or 0.0,
        )
        self._failure_count += 1
        until = time.monotonic() + seconds
        if action is RetryAction.WAIT:
            self._throttle.paused_until = max(self._throttle.paused_until, until)
        else:
            self._backoff = Backoff(until, action is RetryAction.FIX, self._last_key_fingerprint)
        return SourceError(failure, seconds)

    def _blocked_until(self) -> float:
        """When its hold and its rest are over (monotonic seconds)."""
        return max(self._throttle.paused_until, self._backoff.until if self._backoff else 0.0)

    async def _wait_until_allowed(self) -> None:
        """Wait out the rest that the site wants, and a hold; a key that is another than the refused one ends that."""
        while (pause := self._blocked_until() - time.monotonic()) > 0:
            await asyncio.sleep(min(pause, KEY_CHECK_SECONDS))
            backoff = self._backoff
            if (
                backoff is not None
                and backoff.ends_with_new_key
                and self._current_key_fingerprint() not in {None, backoff.key_fingerprint}
            ):
                self._backoff = None

    def _open_endpoint(self) -> Endpoint:
        organization = self.organization
        self._last_key_fingerprint = None
        key = self._credentials.resolve(asdict(organization)).get_secret_value()
        self._last_key_fingerprint = _key_fingerprint(key)
        return open_endpoint(
            organization.name,
            organization.url,
            organization.user,
            key,
            self._hosts,
            gateway=organization.gateway,
            cloud_id=self.cloud_id,
        )

    def _current_key_fingerprint(self) -> bytes | None:
        """Of the key as it is now; None: there is none to be had."""
        try:
            key = self._credentials.resolve(asdict(self.organization)).get_secret_value()
        except SecretError:
            return None
        return _key_fingerprint(key)


def _key_fingerprint(key: str) -> bytes:
    """What tells one key from another, without being one."""
    return hashlib.sha256(key.encode()).digest()


def _contradiction_failure(organization: Organization) -> SourceFailure:
    return SourceFailure(
        ErrorKind.BROKEN_ANSWER,
        f"{organization.name}: Jira showed no records for a time in which it has some; it is asked again."
        " If this lasts, check whether a proxy changes the requests.",
    )


def contradicts(empty: TimeRange, newest_created: int) -> bool:
    """Whether Jira, asked without dates, has a record in a window for which it had just shown none."""
    return newest_created in empty
