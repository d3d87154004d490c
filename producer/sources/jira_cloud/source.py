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

from producer.events import Unreadable
from producer.sources.clock_skew import Clock
from producer.sources.errors import Action, Asked, Failure, Kind, failure
from producer.sources.jira_cloud import client as jira
from producer.sources.jira_cloud.auth import Access, open_access
from producer.sources.jira_cloud.mapping import read
from producer.sources.jira_cloud.page import Page
from producer.sources.jira_cloud.pager import Ask
from producer.sources.throttle import Gate, Hold, Lines
from producer.state.intervals import Range
from relay.credentials.resolver import CredentialResolver
from relay.credentials.url_policy import AllowedHosts, UrlError, split_url
from relay.errors import RelayError, SecretError
from relay.organizations import Organization
from relay.retry import backoff_seconds

LOOK_FOR_NEW_KEY_SECONDS = 2.0
FIRST_SECONDS = {Action.RETRY: 2.0, Action.WAIT: 5.0, Action.FIX: 15.0}
CAP_SECONDS = {Action.RETRY: 60.0, Action.WAIT: 300.0, Action.FIX: 300.0}
REFUSED_LOGINS = {Kind.KEY_REFUSED, Kind.ANONYMOUS, Kind.CAPTCHA, Kind.KEY_TYPE}
REFUSED_LOGIN_SECONDS = 60.0
MOST_UNANSWERED = 3


T = TypeVar("T")


class RefusedError(Exception):
    """Jira gave no answer that could be used; its failure says why, and what is to be done."""

    def __init__(self, found: Failure, retry_seconds: float = 0.0) -> None:
        super().__init__(found.message)
        self.failure = found
        self.retry_seconds = retry_seconds


class Sites:
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
        self._lines = Lines()
        self._gates: dict[str, Gate] = {}
        self._sites: dict[str, Site] = {}

    def of(self, organization: Organization) -> "Site":
        """The same as before where nothing has changed: a refused key is not tried anew because Kafka had a fault."""
        site = self._sites.get(organization.name)
        if site is None or site.organization != organization:
            gate = self._gates.setdefault(organization.cloud_id or organization.url, Gate())
            client = self._clients[crc32(organization.name.encode()) % len(self._clients)]
            site = Site(organization, gate, self._lines, client, self._credentials, self._hosts, self._now_ms)
            self._sites[organization.name] = site
        return site

    def forget(self, organization: str) -> None:
        self._sites.pop(organization, None)


class Site:
    """The site of one organization. Whatever is asked waits for its turn first; RefusedError says what went wrong."""

    def __init__(
        self,
        organization: Organization,
        gate: Gate,
        lines: Lines,
        client: httpx.AsyncClient,
        credentials: CredentialResolver,
        hosts: AllowedHosts,
        now_ms: Callable[[], int],
    ) -> None:
        self.clock = Clock()
        self.cloud_id = organization.cloud_id
        self.organization = organization
        self._gate = gate
        self._lines = lines
        self._client = client
        self._credentials = credentials
        self._hosts = hosts
        self._now_ms = now_ms
        self._failures = 0
        self._hold: Hold | None = None
        self._asked_with: bytes | None = None
        """The print of the key of the last request: by its answer there may be another."""
        self._unanswered = 0
        self._introduced = False

    async def introduce(self, bound_to: str | None) -> None:
        """Learn once which site stands behind the URL, and refuse another than the one this organization is bound to.

        A site that does not tell is believed, since not all that speak Jira's API do; one that does not answer is asked
        again some times before. Through the gateway the id is part of the address: where it is known it needs no asking, and
        else there is no way around it.
        """
        await self._until_open()
        self._refuse_another({self.organization.cloud_id, bound_to})
        if self._introduced:
            return
        if not (self.organization.gateway and self.cloud_id):
            await self._learn_cloud_id(bound_to)
        self._introduced = True

    async def _learn_cloud_id(self, bound_to: str | None) -> None:
        organization = self.organization

        async def ask() -> jira.Site | None:
            try:
                self._hosts.check(organization.url)
            except UrlError as error:
                raise self.refusal(Failure(Kind.NO_KEY, f"{organization.name}: {error}")) from error
            found = await jira.tenant_info(self._client, organization.name, organization.url)
            if isinstance(found, jira.Site):
                return found
            passing = found.action in {Action.RETRY, Action.WAIT} and self._unanswered < MOST_UNANSWERED
            if passing or organization.gateway:
                self._unanswered += 1
                raise self.refusal(found)
            return None

        if (found := await self._in_turn(ask)) is not None:
            self._refuse_another({organization.cloud_id, bound_to, found.cloud_id})
            self.cloud_id = found.cloud_id

    def _refuse_another(self, cloud_ids: set[str | None]) -> None:
        if len(cloud_ids - {None}) > 1:
            host = split_url(self.organization.url)[0].authority
            raise self.refusal(failure(Kind.OTHER_SITE, Asked(self.organization.name, host)))

    async def meet(self) -> int | None:
        """Ask for no more than a sign of life, from which Jira's clock is learned: what it shows, in whole seconds (ms)."""
        return (await self._ask(lambda access: jira.probe(self._client, access))).date_ms

    async def page(self, ask: Ask, *, patient: bool = False) -> Page:
        """One page. Jira gives nothing unless `to` is after `from` (jira-api 1.1), so one instant is asked for as two.

        `patient`: others may go first.
        """
        until = max(ask.until_ms, ask.from_ms + 1)
        return await self._ask(
            lambda access: jira.fetch_page(self._client, access, ask.from_ms, until, ask.offset, ask.limit),
            patient=patient,
        )

    async def prove_alive(self, empty: Range) -> None:
        """Return only if Jira, which showed nothing in a window, shows that it does answer us: with a record of another
        time, or, where it has none at all, by knowing who we are.
        """
        newest = await self._ask(lambda access: jira.probe(self._client, access))
        if not newest.records:
            await self._ask(self._known)
            return
        event = read(newest.records[0], self.organization.name)
        if not isinstance(event, Unreadable) and contradicts(empty, event["created"]):
            raise self.refusal(_contradiction(self.organization))

    async def _known(self, access: Access) -> jira.Account | Failure:
        found = await jira.myself(self._client, access)
        if isinstance(found, Failure) and found.kind is Kind.SCOPE_MISSING:
            return jira.Account("")  # the gateway knows the key before it looks at scopes
        return found

    async def oldest(self) -> int | None:
        """When the oldest record that Jira keeps was created; None: not to be learned."""
        newest = await self._ask(lambda access: jira.probe(self._client, access))
        if not newest.total:
            return None
        last = await self._ask(lambda access: jira.probe(self._client, access, (newest.total or 1) - 1))
        events = [read(record, self.organization.name) for record in last.records]
        return next((event["created"] for event in events if not isinstance(event, Unreadable)), None)

    async def _ask(self, call: Callable[[Access], Awaitable[T | Failure]], *, patient: bool = False) -> T:
        """Wait for the turn, find the key as it is now, ask once."""

        async def ask() -> T:
            sent = self._now_ms()
            try:
                found = await call(self._access())
            except RelayError as error:
                found = Failure(Kind.NO_KEY, str(error))
            self.clock = self.clock.observe(sent, self._now_ms(), getattr(found, "date_ms", None))
            if isinstance(found, Failure):
                raise self.refusal(found)
            self._failures = 0
            return found

        return await self._in_turn(ask, patient=patient)

    async def _in_turn(self, ask: Callable[[], Awaitable[T]], *, patient: bool = False) -> T:
        """Ask when the site is open and nobody else is asking it. What `ask` refuses holds back the next already.

        While a site is left alone nobody stands in a line for it: a few that refuse us would leave none to the others.
        """
        line = self._lines.patient if patient else nullcontext()
        while True:
            await self._until_open()
            async with line, self._gate.turn:
                if self._opens_at() > time.monotonic():  # by the one whose turn was before
                    continue
                async with self._lines.all:
                    return await ask()

    def refusal(self, found: Failure) -> RefusedError:
        """Leave the site alone after a failure, longer each time; too large an answer can be asked for in parts at once."""
        action = found.action
        if action is Action.SMALLER:
            return RefusedError(found)
        seconds = backoff_seconds(
            self._failures,
            random.random(),
            first=REFUSED_LOGIN_SECONDS if found.kind in REFUSED_LOGINS else FIRST_SECONDS[action],
            cap=CAP_SECONDS[action],
            minimum=found.retry_after_seconds or 0.0,
        )
        self._failures += 1
        until = time.monotonic() + seconds
        if action is Action.WAIT:
            self._gate.rest_until = max(self._gate.rest_until, until)
        else:
            self._hold = Hold(until, action is Action.FIX, self._asked_with)
        return RefusedError(found, seconds)

    def _opens_at(self) -> float:
        """When its hold and its rest are over (monotonic seconds)."""
        return max(self._gate.rest_until, self._hold.until if self._hold else 0.0)

    async def _until_open(self) -> None:
        """Wait out the rest that the site wants, and a hold; a key that is another than the refused one ends that."""
        while (pause := self._opens_at() - time.monotonic()) > 0:
            await asyncio.sleep(min(pause, LOOK_FOR_NEW_KEY_SECONDS))
            hold = self._hold
            if hold is not None and hold.ends_with_key and self._key_print() not in {None, hold.key}:
                self._hold = None

    def _access(self) -> Access:
        organization = self.organization
        self._asked_with = None
        key = self._credentials.resolve(asdict(organization)).get_secret_value()
        self._asked_with = _print_of(key)
        return open_access(
            organization.name,
            organization.url,
            organization.user,
            key,
            self._hosts,
            gateway=organization.gateway,
            cloud_id=self.cloud_id,
        )

    def _key_print(self) -> bytes | None:
        """Of the key as it is now; None: there is none to be had."""
        try:
            key = self._credentials.resolve(asdict(self.organization)).get_secret_value()
        except SecretError:
            return None
        return _print_of(key)


def _print_of(key: str) -> bytes:
    """What tells one key from another, without being one."""
    return hashlib.sha256(key.encode()).digest()


def _contradiction(organization: Organization) -> Failure:
    return Failure(
        Kind.BROKEN_ANSWER,
        f"{organization.name}: Jira showed no records for a time in which it has some; it is asked again."
        " If this lasts, check whether a proxy changes the requests.",
    )


def contradicts(empty: Range, newest_created: int) -> bool:
    """Whether Jira, asked without dates, has a record in a window for which it had just shown none."""
    return newest_created in empty
