"""The Source contract: everything the producer asks of an API that it reads audit records from.

A source turns a window of time into events. It knows no Kafka, no checkpoint and no ledger: the poller asks for
windows, leaves out the events that are already published, and commits the rest. `docs/development/new-source.md`
has the steps, decision 20 the reasons, `tests/contracts/source/` the suite that each source passes.
"""

from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from enum import Enum
from typing import Final, Generic, Protocol, TypeVar

from producer.events import Event, UnreadableRecord
from producer.sources.clock_skew import ClockSkew
from producer.sources.errors import Messages, SourceError, SourceFailure
from producer.sources.purpose import Purpose
from producer.sources.throttle import BackoffTiming, RequestSlots
from producer.sources.window_result import WindowResult
from producer.state.intervals import TimeRange
from relay.config.base import ConfigModel
from relay.credentials.resolver import CredentialResolver
from relay.organizations import Organization


class Unknown(Enum):
    """The answer of an API that cannot be asked a question."""

    UNKNOWN = "unknown"


UNKNOWN: Final = Unknown.UNKNOWN

OnRetry = Callable[[SourceError], None]


def ignore_retry(_error: SourceError) -> None:
    """Take no notice of a retry."""


@dataclass(frozen=True, slots=True)
class SourceTraits:
    """The facts about an API that the poller needs before it reads."""

    page_records: int
    """Records that one request returns at most. It bounds the overlap, so that a quiet round costs one page, and the
    growth of backfill windows."""


class Source(Protocol):
    """One organization's audit log. The loops of a poller share it.

    **Requests.** Each method waits for the source's throttle before it sends one, and raises SourceError for each
    failure, with a kind, an action and an operator's message. The source waits out its own back-off at the next call,
    so the caller only reports and repeats. Each request has a purpose: `RequestThrottle` says which failure holds up
    which purposes, and live requests go before all others. A cancellation at any await leaves no turn and no slot held.

    **Event ids.** The source gives each event its `id`, an int from 0 to 2^63-1, because ledgers are bitmaps. The same
    record has the same id on every read, in every page and window, for ever: exactly once rests on it. An API with
    numbers uses the number. One with text takes the first 63 bits of the text's SHA-256 and keeps the text in the
    event. One without ids hashes the canonical record together with its rank among equal records of its millisecond.
    A site that gives a known id to another record, as after a restore, is noticed in most cases, and the record published
    with a variant (decision 22); in the others it would be lost. A ledger keeps the ids of some days of one organization;
    with ten million of them hashed, the chance of any clash is n²/2^64, below 10^-5.
    """

    @property
    def traits(self) -> SourceTraits: ...

    @property
    def throttle_key(self) -> str:
        """The party that limits apply to: site, organization or API key. Sources with one key share turn and pause."""

    @property
    def identity(self) -> str | None:
        """Stable id of the log behind the URL. None: not learned yet, or the API has none."""

    @property
    def clock_skew(self) -> ClockSkew:
        """The local clock against the API's, as far as its answers showed. `ClockSkew()` if they carry no time."""

    def read(
        self, window: TimeRange, purpose: Purpose = Purpose.LIVE, *, on_retry: OnRetry = ignore_retry
    ) -> AsyncGenerator[WindowResult, None]:
        """Read a window in parts, and yield a result for each: ascending, adjoining, each part read to its end.

        A result has its events oldest first, each record once. `covered` ends early where the API's clock had not reached the
        result's end; `proven` is False where the API may hold more than it showed. Paging, moving rows, halved windows
        and smaller pages are the source's affair, and so are repeats of a failed page: `on_retry` hears of each, so
        that a status does not show "active" meanwhile.

        For the purpose UNREAD_RANGES a failed request is not repeated, as the caller asks for smaller and smaller windows. In a window of
        one millisecond for that purpose, the source reads around the records that the API fails to serve: the result has the
        others, and its `failure` says why some are missing. A record whose bytes arrived and cannot be read is an
        UnreadableRecord with these bytes, once the API has sent the same bytes twice.

        SourceError ends the generator; the results before it remain valid. Close it (`contextlib.aclosing`) when it
        may not be read to its end. No turn and no slot is held while it is suspended.
        """

    async def bind_identity(self, bound_to: str | None) -> None:
        """Learn `identity`, once. Raises SourceError (OTHER_SITE) if it is not `bound_to`, the stored one.

        An API without an identity returns at once.
        """

    async def verify_empty(self, empty: TimeRange, purpose: Purpose = Purpose.LIVE) -> None:
        """Return only if the API shows that its empty answer for this window was an answer.

        An empty answer proves nothing where a dead key or a wrong time zone gives one too. Raises SourceError. A source
        whose empty answers count returns at once, and its page says why they count.
        """

    async def probe_clock(self) -> int | None:
        """Send the cheapest authenticated request. Return the API's clock in ms, or None if its answer has no time."""

    async def oldest(self, purpose: Purpose = Purpose.LIVE) -> int | Unknown | None:
        """Return `created` (ms) of the oldest record kept. None: the log is empty. UNKNOWN: it cannot be asked."""

    def restore(self, event: Event) -> bytes:
        """Return the JSON of the record that the event was made from, for a dead letter. Pure; no request."""

    def parse_record(self, raw: bytes) -> Event | UnreadableRecord:
        """Return the event of the record of a dead letter, as `read` would give it today. Pure; no request.

        `raw`: what an UnreadableRecord held, or what `restore` returned.
        """


class SourceFactory(Protocol):
    """Keeps the sources of a process beyond their pollers: after a fault of Kafka, a refused key is not tried anew."""

    def source_for(self, organization: Organization) -> Source:
        """Return the organization's source: the same as before, unless the organization was modified."""

    def remove(self, organization: str) -> None:
        """Forget an organization that this process no longer polls; a pause that its API asked for remains."""


Config_contra = TypeVar("Config_contra", bound=ConfigModel, contravariant=True)
"""The settings of a source. A source is opened with all settings of the producer, which extend its own."""
Config_co = TypeVar("Config_co", bound=ConfigModel, covariant=True)


@dataclass(frozen=True, slots=True)
class SourceSetup(Generic[Config_co]):
    """The values that a source is opened with. The slots are shared by all sources of the process."""

    config: Config_co
    credentials: CredentialResolver
    now_ms: Callable[[], int]
    slots: RequestSlots = field(default_factory=RequestSlots)
    backoff: BackoffTiming = field(default_factory=BackoffTiming)


@dataclass(frozen=True, slots=True)
class ConnectionTestResult:
    """The result of a connection test.

    `failure` None: the audit log can be read. `message` is for an operator. `cloud_id`: the identity of the log, None if it
    is not learned or the API has none. `gateway`: the route that works is the API's gateway. `date_ms`: the API's clock at
    its first answer, None if its answers have no time.
    """

    failure: SourceFailure | None
    message: str
    cloud_id: str | None = None
    gateway: bool = False
    date_ms: int | None = None


class ConnectionTest(Protocol):
    """Tests an organization's URL, user and key for an operator, before a producer uses them. It retries nothing."""

    def check_url(self, organization: Organization) -> None:
        """Return only if a key may be sent to the organization's URL. Raises UrlError otherwise; sends no request."""

    async def run(
        self, organization: Organization, key: str | None, *, new_key: bool = False
    ) -> ConnectionTestResult:
        """Read the audit log with this key. One wrong key costs one failed login.

        `key` None: the key is not available on this machine. Then only the site is tested, without a credential, and each
        answer that shows the site passes. `new_key`: its route is not known yet, so `organization.gateway` does not count.
        Raises RelayError if URL, user or key are unusable; each fault of the network is a result.
        """


@dataclass(frozen=True, slots=True)
class InputRules:
    """The form of an operator's input for an organization of this source. Pure: no settings, no request, no right.

    Whether a key may be sent to a URL is the decision of `ConnectionTest.check_url`.
    """

    parse_url: Callable[[str], str]
    """Return a URL, given without white space around it, in normal form. Raises UrlError. Forms of one log have one
    normal form, so that no log is polled twice."""
    default_name: Callable[[str], str]
    """Return the name of an organization that the operator gives none, from its URL in normal form."""
    is_user: Callable[[str], bool]
    """Return whether a user, given as printable text without white space around it, has the form of a user."""
    user_advice: str
    """The remedy for a user of another form: a clause without a full stop."""
    max_backfill_days: int
    """The longest backfill: the days that the API keeps records."""


@dataclass(frozen=True, slots=True)
class SourceKind(Generic[Config_contra]):
    """One line of the catalogue of sources."""

    open: Callable[[SourceSetup[Config_contra]], AbstractAsyncContextManager[SourceFactory]]
    """Open the source's connections for as long as the process polls.

    The functions of a kind import its client: the settings need the kinds, and few commands send a request.
    """
    open_connection_test: Callable[[Config_contra], AbstractAsyncContextManager[ConnectionTest]]
    """Open a connection test for as long as an operator's command runs. Entering makes no request."""
    input_rules: InputRules
    parse_record: Callable[[bytes, str], Event | UnreadableRecord]
    """`Source.parse_record`, for an operator's command; the second argument is the organization."""
    messages: Messages = field(default_factory=dict)
    """The messages of its own, for the runbook."""
