"""One Jira site as we may ask it: one request at a time, not before it wants to be asked, with the key as it is now."""

import asyncio
import hashlib
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass, field
from typing import TypeVar

import httpx

from producer import jira
from producer.access import Access, open_access
from producer.failures import Action, Asked, Failure, Kind, failure
from producer.page import Page
from producer.ranges import Range
from producer.records import Unreadable, read
from producer.walk import Ask
from producer.window import Clock, contradicts
from relay.errors import RelayError, SecretError
from relay.hosts import Hosts, split_url
from relay.organizations import Organization
from relay.retry import backoff_seconds
from relay.secrets import Credentials

LOOK_FOR_NEW_KEY_SECONDS = 2.0
FIRST_SECONDS = {Action.RETRY: 2.0, Action.WAIT: 5.0, Action.FIX: 15.0}
CAP_SECONDS = {Action.RETRY: 60.0, Action.WAIT: 300.0, Action.FIX: 300.0}
REFUSED_LOGINS = {Kind.KEY_REFUSED, Kind.ANONYMOUS, Kind.CAPTCHA, Kind.KEY_TYPE}
REFUSED_LOGIN_SECONDS = 60.0


T = TypeVar("T")


class RefusedError(Exception):
    """Jira gave no answer that could be used; its failure says why, and what is to be done."""

    def __init__(self, found: Failure, retry_seconds: float = 0.0) -> None:
        super().__init__(found.message)
        self.failure = found
        self.retry_seconds = retry_seconds


@dataclass(slots=True)
class Gate:
    """What all who ask one site share: one request at a time, and the rest it has asked for (monotonic seconds)."""

    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    rest_until: float = 0.0


class Sites:
    """The sites of the organizations that are ours; what a site asked for outlives a change of its organization."""

    def __init__(
        self,
        client: httpx.AsyncClient,
        credentials: Credentials,
        hosts: Hosts,
        now_ms: Callable[[], int],
    ) -> None:
        self._client = client
        self._credentials = credentials
        self._hosts = hosts
        self._now_ms = now_ms
        self._gates: dict[str, Gate] = {}

    def of(self, organization: Organization) -> "Site":
        gate = self._gates.setdefault(organization.cloud_id or organization.url, Gate())
        return Site(organization, gate, self._client, self._credentials, self._hosts, self._now_ms)


class Site:
    """The site of one organization. Whatever is asked waits for its turn first; RefusedError says what went wrong."""

    def __init__(
        self,
        organization: Organization,
        gate: Gate,
        client: httpx.AsyncClient,
        credentials: Credentials,
        hosts: Hosts,
        now_ms: Callable[[], int],
    ) -> None:
        self.clock = Clock()
        self.cloud_id = organization.cloud_id
        self._organization = organization
        self._gate = gate
        self._client = client
        self._credentials = credentials
        self._hosts = hosts
        self._now_ms = now_ms
        self._failures = 0
        self._closed_until = 0.0
        self._refused_key: bytes | None = None
        self._introduced = False

    async def introduce(self, bound_to: str | None) -> None:
        """Learn once which site stands behind the URL, and refuse another than the one this organization is bound to.

        A site that does not tell is believed: not all that speak Jira's API do.
        """
        if self._introduced:
            return
        await self._until_open()
        found = await jira.tenant_info(self._client, self._organization.name, self._organization.url)
        if isinstance(found, jira.Site):
            expected = self._organization.cloud_id or bound_to
            if expected is not None and found.cloud_id != expected:
                host = split_url(self._organization.url)[0].authority
                raise self.refusal(failure(Kind.OTHER_SITE, Asked(self._organization.name, host)))
            self.cloud_id = found.cloud_id
        self._introduced = True

    async def page(self, ask: Ask) -> Page:
        """One page. Jira gives nothing unless `to` is after `from` (jira-api 1.1), so one instant is asked for as two."""
        until = max(ask.until_ms, ask.from_ms + 1)
        return await self._ask(
            lambda access: jira.fetch_page(self._client, access, ask.from_ms, until, ask.offset, ask.limit)
        )

    async def prove_alive(self, empty: Range) -> None:
        """Return only if Jira, which showed nothing in a window, shows that it does answer us: with a record of another
        time, or, where it has none at all, by knowing who we are.
        """
        newest = await self._ask(lambda access: jira.probe(self._client, access))
        if not newest.records:
            await self._ask(self._known)
            return
        event = read(newest.records[0], self._organization.name)
        if not isinstance(event, Unreadable) and contradicts(empty, event["created"]):
            raise self.refusal(_contradiction(self._organization))

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
        events = [read(record, self._organization.name) for record in last.records]
        return next((event["created"] for event in events if not isinstance(event, Unreadable)), None)

    def relax(self) -> None:
        """A round went as it should: the next failure is the first again."""
        self._failures = 0

    async def _ask(self, call: Callable[[Access], Awaitable[T | Failure]]) -> T:
        """Wait for the turn, find the key as it is now, ask once."""
        await self._until_open()
        async with self._gate.turn:
            await asyncio.sleep(max(0.0, self._gate.rest_until - time.monotonic()))
            sent = self._now_ms()
            try:
                found = await call(self._access())
            except RelayError as error:
                found = Failure(Kind.NO_KEY, str(error))
            self.clock = self.clock.observe(sent, self._now_ms(), getattr(found, "date_ms", None))
            if isinstance(found, Failure):
                raise self.refusal(found)  # before the next one has its turn
            return found

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
            self._closed_until = until
        self._refused_key = self._key_print() if action is Action.FIX else None
        return RefusedError(found, seconds)

    async def _until_open(self) -> None:
        """Wait out a hold; a key that is another than the refused one ends it."""
        while (pause := self._closed_until - time.monotonic()) > 0:
            await asyncio.sleep(min(pause, LOOK_FOR_NEW_KEY_SECONDS))
            if self._refused_key is not None and self._key_print() not in {None, self._refused_key}:
                self._closed_until = 0.0

    def _access(self) -> Access:
        organization = self._organization
        key = self._credentials.resolve(asdict(organization)).get_secret_value()
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
        """What tells one key from another, without being one; None: there is none to be had."""
        try:
            key = self._credentials.resolve(asdict(self._organization)).get_secret_value()
        except SecretError:
            return None
        return hashlib.sha256(key.encode()).digest()


def _contradiction(organization: Organization) -> Failure:
    return Failure(
        Kind.BROKEN_ANSWER,
        f"{organization.name}: Jira showed no records for a time in which it has some; it is asked again."
        " If this lasts, check whether a proxy changes the requests.",
    )
