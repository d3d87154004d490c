"""An organization with its status, as text and as a document."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from management.formatting import iso_milliseconds, iso_seconds
from management.organizations.silence import UNKNOWN, silence_text
from management.organizations.store import kafka_errors_as_relay_errors
from producer.status_reporter import status_key
from relay.credentials.keyring import sealing_key_id
from relay.kafka.connection import Connection
from relay.kafka.topics import Topics
from relay.organizations import Organization
from relay.status.model import HourCount, Status
from relay.status.reader import read_statuses
from relay.timestamps import DAY_MS

WARN_DAYS = (1, 7, 30)
NEW_MS = 60_000
STATES = ("failing", "waiting", "no owner", "starting", "active", "paused")
"""The values of `state_word`, the one that needs an operator most first."""

_ORGANIZATION_TIMESTAMPS = {"backfill_from", "credential_expires", "added", "modified"}
_UNSHOWN = {"epoch", "lag", "start", "offsets", "deliveries"}
"""Fields of a status that are of no organization, or of no use to a reader."""
_STATUS_TIMESTAMPS = (
    "since",
    "at",
    "last_poll",
    "last_event",
    "complete_up_to",
    "waiting_until",
    "backfilled_to",
)


@dataclass(frozen=True, slots=True)
class OrganizationView:
    """An organization and its last status. `status` None: no producer has reported on it yet."""

    organization: Organization
    status: Status | None
    now_ms: int
    key_ids: Sequence[str] = ()
    """Ids of the keys in `secrets`, the sealing key first. Empty: no keys are set here."""

    @property
    def state(self) -> str:
        """The state in words, with its reason if it has one."""
        organization, status = self.organization, self.status
        if organization.paused:
            return "paused"
        if status is None:
            return "no owner: no producer has reported on it yet"
        if self.now_ms > status.valid_until:
            return f"no owner: no producer has reported on it since {iso_seconds(status.at)}"
        return _describe_status(organization.name, status)

    @property
    def state_word(self) -> str:
        """The state in one word or two, usually one of STATES: a newer producer may report another."""
        if self.organization.paused:
            return "paused"
        if self.status is None or self.now_ms > self.status.valid_until:
            return "no owner"
        return "starting" if self.status.state == "paused" else self.status.state

    @property
    def is_new(self) -> bool:
        """Whether it was added so recently that no producer need have reported on it."""
        return self.status is None and self.now_ms - self.organization.added < NEW_MS

    @property
    def reason(self) -> str:
        """The reason for the state, without times and without the name in front. Empty: it has none."""
        match self.state_word:
            case "paused" | "starting":
                return ""
            case "no owner":
                return f"no producer {'has reported on it yet' if self.status is None else 'reports on it any more'}"
        reason = "" if self.status is None else self.status.reason or ""
        return reason.removeprefix(f"{self.organization.name}: ")

    @property
    def since(self) -> int | None:
        """Since when it is in this state, in ms UTC; without an owner, when a producer last reported. None: unknown."""
        if self.status is None or self.state_word in {"paused", "starting"}:
            return None
        return self.status.at if self.state_word == "no owner" else self.status.since

    @property
    def silence_word(self) -> str:
        """`learning`, `quiet` or `silent`; `unknown` while the source gives no answer. Empty: paused, or never judged."""
        if self.state_word == "paused" or self.status is None or self.status.silence is None:
            return ""
        return self.status.silence.word if self.state_word == "active" else UNKNOWN

    @property
    def silence(self) -> str:
        """What is known of its silence, in words. Empty: it is paused, or a release polls it that does not judge silence."""
        if not self.silence_word or self.status is None or self.status.silence is None:
            return ""
        if self.silence_word == UNKNOWN:
            return f"not known since {iso_seconds(self.status.silence.until)}: the source gives no answer"
        return silence_text(self.status.silence)

    @property
    def counts(self) -> Sequence[HourCount]:
        """The counts of the last hours that the producers reported; empty: none has reported."""
        return () if self.status is None else self.status.counts

    @property
    def urgency(self) -> tuple[int, str]:
        """The place in a list that begins with those that need an operator: failing, waiting, no owner, expiring key, others."""
        first = STATES[:3]
        place = first.index(self.state_word) if self.state_word in first else len(first) + 1
        expiring = self.expires_within_days is not None and not self.organization.paused
        return (min(place, len(first)) if expiring else place, self.organization.name)

    @property
    def sealed_with_first_key(self) -> bool | None:
        """Whether its credential is sealed with the first key. None: it is not sealed, or no keys are set here."""
        sealed = self.organization.credential_ciphertext
        return None if sealed is None or not self.key_ids else sealing_key_id(sealed) == self.key_ids[0]

    @property
    def expiry(self) -> str:
        """The day on which the key expires, with a warning from 30 days before. Empty: never, or unknown."""
        expires = self.organization.credential_expires
        if expires is None:
            return ""
        day, left = iso_seconds(expires)[:10], expires - self.now_ms
        if left <= 0:
            return f"{day}: EXPIRED"
        days = -(-left // DAY_MS)
        return (
            f"{day}: in {days} day{'s'[: days > 1]}{_warning_marks(days)}"
            if self.expires_within_days
            else day
        )

    @property
    def expires_within_days(self) -> int | None:
        """The smallest of 0, 1, 7 and 30 days within which the key expires. None: later, never, or unknown."""
        expires = self.organization.credential_expires
        if expires is None:
            return None
        return next((days for days in (0, *WARN_DAYS) if expires - self.now_ms <= days * DAY_MS), None)

    def document(self) -> dict[str, Any]:
        """Return the JSON document: instants in ISO 8601, the producer's status under `status` (None: no status yet)."""
        facts = public_view(self.organization)
        facts |= {name: iso_milliseconds(facts[name]) for name in _ORGANIZATION_TIMESTAMPS}
        facts |= {"state_in_words": self.state, "credential_expires_within_days": self.expires_within_days}
        facts |= {"silence_in_words": self.silence or None}
        facts |= {"sealed_with_first_key": self.sealed_with_first_key}
        return facts | {"status": None if self.status is None else _status_document(self.status, self.now_ms)}


async def read_organization_statuses(connection: Connection) -> dict[str, Status]:
    """Return the statuses on the status topic, by key. Raises RelayError."""
    with kafka_errors_as_relay_errors(connection):
        return await read_statuses(connection, Topics(connection.kafka.topic_prefix).status)


def build_views(
    found: Mapping[str, Organization],
    statuses: Mapping[str, Status],
    now_ms: int,
    key_ids: Sequence[str] = (),
) -> list[OrganizationView]:
    """Return the views, sorted by name."""
    return [
        OrganizationView(found[name], statuses.get(status_key(name)), now_ms, key_ids)
        for name in sorted(found)
    ]


def _describe_status(name: str, status: Status) -> str:
    reason = (status.reason or "").removeprefix(f"{name}: ")
    match status.state:
        case "active":
            backfill = (
                ""
                if status.backfilled_to is None
                else f"; the backfill has reached {iso_seconds(status.backfilled_to)}"
            )
            return f"active{backfill}{reason and f': {reason}'}"
        case "waiting":
            return f"waiting until {iso_seconds(status.waiting_until)}: {reason}"
        case "failing":
            return f"failing since {iso_seconds(status.since)}: {reason}"
        case "paused":  # written before the organization was resumed
            return "starting"
    return status.state


def _warning_marks(days: int) -> str:
    return "!" * sum(days <= limit for limit in WARN_DAYS)


def _status_document(status: Status, now_ms: int) -> dict[str, Any]:
    document = {each.name: getattr(status, each.name) for each in fields(status) if each.name not in _UNSHOWN}
    document |= {name: iso_milliseconds(document[name]) for name in _STATUS_TIMESTAMPS}
    document |= {"valid_until": iso_milliseconds(status.valid_until), "valid": now_ms <= status.valid_until}
    document["transitions"] = [
        asdict(each) | {"at": iso_milliseconds(each.at)} for each in status.transitions
    ]
    document["older_offsets"] = [asdict(each) for each in status.older_offsets]
    if status.silence is not None:
        times = ("since", "until", "learning_until")
        document["silence"] = asdict(status.silence)
        document["silence"] |= {name: iso_milliseconds(document["silence"][name]) for name in times}
    document["counts"] = [_count_document(each) for each in status.counts]
    return document


def _count_document(count: HourCount) -> dict[str, Any]:
    return {
        "hour": iso_milliseconds(count.hour),
        "events": count.events,
        "late": count.late,
        "dead_letters": count.dead_letters,
        "skipped": count.skipped,
    }


def public_view(organization: Organization) -> dict[str, Any]:
    """Return the fields that an operator may see: all but the secret."""
    credential = organization.credential_reference or (
        "encrypted" if organization.credential_ciphertext else "none"
    )
    return {
        "name": organization.name,
        "url": organization.url,
        "user": organization.user,
        "credential": credential,
        "sealed_with": None
        if organization.credential_ciphertext is None
        else sealing_key_id(organization.credential_ciphertext),
        "gateway": organization.gateway,
        "cloud_id": organization.cloud_id,
        "interval_seconds": organization.interval_seconds,
        "state": organization.state,
        "backfill_from": organization.backfill_from,
        "credential_expires": organization.credential_expires,
        "added": organization.added,
        "modified": organization.modified,
        "revision": organization.revision,
    }
