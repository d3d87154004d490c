"""The objects that every page and every call of the API share."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from console.api_tokens import ApiTokens
from console.auth import Access, LoginThrottle, Session
from console.long_reads import LongReads
from console.oidc import OidcLogin
from console.sign_outs import SignOuts
from consumer.destinations.contract import DestinationConfig
from management.change_history import ChangeHistory
from management.completeness.audit_logs import AuditLogs
from management.completeness.seal_view import FOLLOWING, SealView
from management.completeness.signature import SigningKey
from management.context import OperatorContext
from management.destination_view import DestinationView
from management.events.delivery import DeliveryTiming
from management.events.search import SearchTiming
from management.events.tail import EventTail
from management.installation import Installation, all_destination_views, view_installation
from management.live_view import LiveView
from management.organizations.view import OrganizationView, build_views
from management.organizations.windows import PaceWatch
from management.replay.view import ReplayView
from management.sign_outs import record_sign_out
from management.topic_follower import FollowerTiming
from management.unreadable_redrive import ParseRecord
from relay.config.schema_registry import SchemaRegistryConfig
from relay.credentials.keyring import Keyring
from relay.kafka.connection import Connection


@dataclass(frozen=True, slots=True)
class ConsoleTiming:
    """Seconds: the end of the wait for the head and the body of a request, for a look at the topics after a change, and for each read of a page."""

    head_seconds: float = 20.0
    """More than uvicorn waits for another request, so that an idle connection ends in its way."""
    body_seconds: float = 30.0
    read_seconds: float = 30.0
    """Between two looks at a client that reads its answer slowly."""
    look_seconds: float = 3.0
    event_seconds: float = 10.0
    activity_seconds: float = 6.0
    sign_out_seconds: float = 5.0
    backfill_seconds: float = 5.0
    offsets_seconds: float = 10.0
    lost_seconds: float = 10.0
    search: SearchTiming = field(default_factory=SearchTiming)
    activity_search: SearchTiming = field(default_factory=lambda: SearchTiming(seconds=3.0))
    delivery: DeliveryTiming = field(default_factory=DeliveryTiming)
    changes: FollowerTiming = field(default_factory=FollowerTiming)
    seals: FollowerTiming = FOLLOWING
    tail: FollowerTiming = field(default_factory=lambda: FollowerTiming(forget_seconds=600))


@dataclass(frozen=True, slots=True)
class ConsoleContext:
    """`operator`: its author is replaced by the person of each request. `keyring`: the keys in `secrets`; None: it has none.

    `origins`: the origins of its own pages, such as `http://127.0.0.1:8080`. `secure`: browsers reach it by https.
    """

    operator: OperatorContext
    destinations: Mapping[str, DestinationConfig]
    keyring: Keyring | None
    view: LiveView
    access: Access
    origins: frozenset[str]
    secure: bool
    version: str
    parse_record: ParseRecord
    """Reads the record of a producer's dead letter, as this release does."""
    registry: SchemaRegistryConfig = field(default_factory=SchemaRegistryConfig)
    api_tokens: ApiTokens | None = None
    """None: the settings name no file of API tokens."""
    oidc: OidcLogin | None = None
    """None: no identity provider signs people in."""
    timing: ConsoleTiming = ConsoleTiming()
    throttle: LoginThrottle = field(default_factory=LoginThrottle)
    bearer_throttle: LoginThrottle = field(default_factory=LoginThrottle)
    """Of requests to the API: behind a proxy all have one address, and a program with an old token must keep no person out."""
    long_reads: LongReads = field(default_factory=LongReads)
    sign_outs: SignOuts = field(default_factory=SignOuts)
    audit_logs: AuditLogs | None = None
    """Opens the audit log of an organization; None: this console lists none."""
    late_days: int = 7
    """The setting producer.late_days: a younger day is provisional."""
    signing: SigningKey | None = None
    """The key of the setting proof.key; None: it is not set."""
    changes: ChangeHistory = field(init=False)
    seals: SealView = field(init=False)
    tail: EventTail = field(init=False)
    pace: PaceWatch = field(default_factory=PaceWatch)

    def __post_init__(self) -> None:
        timing = self.timing
        object.__setattr__(self, "changes", ChangeHistory(self.connection, self.now_ms, timing.changes))
        object.__setattr__(self, "seals", SealView(self.connection, self.now_ms, timing.seals))
        object.__setattr__(self, "tail", EventTail(self.connection, self.registry, self.now_ms, timing.tail))

    @property
    def connection(self) -> Connection:
        return self.operator.connection

    @property
    def now_ms(self) -> Callable[[], int]:
        return self.operator.now_ms

    @property
    def key_ids(self) -> Sequence[str]:
        """The ids of the keys in `secrets`, the sealing key first."""
        return [] if self.keyring is None else self.keyring.ids

    @property
    def signing_key(self) -> str | None:
        """The public key of the setting proof.key; None: it is not set."""
        return None if self.signing is None else self.signing.name

    def operator_for(self, who: str) -> OperatorContext:
        """Return the operator context of a person, whose name the history of changes gets."""
        return replace(self.operator, author=who)

    def session(self, cookie: str | None) -> Session | None:
        """Return the session of a cookie. None: there is none, or it has ended, at whichever console."""
        found = self.access.session(cookie, self.now_ms())
        if found is None:
            return None
        key = self.access.sign_out_key(found)
        return None if key in self.sign_outs or key in self.view.snapshot.statuses else found

    async def sign_out(self, session: Session) -> str | None:
        """End a session, at this console now, and at the others once they have read it. Return why Kafka did not keep that."""
        key, now = self.access.sign_out_key(session), self.now_ms()
        self.sign_outs.add(key, session.expires, now)
        seconds = self.timing.sign_out_seconds
        return await record_sign_out(self.connection, key, session.expires, now, seconds)

    def organizations(self) -> list[OrganizationView]:
        """Return the organizations as the last snapshot has them, sorted by name."""
        snapshot = self.view.snapshot
        return build_views(
            snapshot.organizations.organizations, snapshot.statuses, self.now_ms(), self.key_ids
        )

    def destination_views(self) -> list[DestinationView]:
        """Return the destinations of the settings as the last snapshot has them, sorted by name, then those that only consumers have."""
        return all_destination_views(self.view.snapshot, self.destinations, self.now_ms())

    def installation(self) -> Installation:
        """Return the whole installation as the last snapshot has it."""
        return view_installation(self.view.snapshot, self.destinations, self.now_ms(), self.key_ids)

    def replays(self) -> list[ReplayView]:
        """Return the replays as the last snapshot has them, the newest first."""
        return self.view.snapshot.replays.views(self.now_ms())


async def refresh_soon(context: ConsoleContext) -> None:
    """Look at the topics, so that the next page shows a change. A slow Kafka holds up nobody: the look then goes on alone."""
    await context.view.refresh_within(context.timing.look_seconds)
