"""How each organization is doing, in words."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from management.formatting import exact, instant
from management.organizations.store import plainly
from producer.status_reporter import status_key
from relay.credentials.keyring import sealing_key_id
from relay.kafka.connection import Connection
from relay.kafka.topics import Topics
from relay.organizations import DAY_MS, Organization
from relay.status.model import Status
from relay.status.reader import read_statuses

WARN_DAYS = (1, 7, 30)

_SHOWN_INSTANTS = {"backfill_from", "credential_expires", "added", "modified"}
_STATUS_INSTANTS = (
    "since",
    "at",
    "last_poll",
    "last_event",
    "complete_up_to",
    "waiting_until",
    "backfilled_to",
)


@dataclass(frozen=True, slots=True)
class View:
    """An organization, and what its producer told of it last; None: nothing yet."""

    organization: Organization
    status: Status | None
    now_ms: int
    keys: Sequence[str] = ()
    """What the keys of `secrets` are called here, the first in front."""

    @property
    def state(self) -> str:
        """In words, with the reason where there is one."""
        organization, status = self.organization, self.status
        if organization.paused:
            return "paused"
        if status is None:
            return "no owner: no producer has told of it yet"
        if self.now_ms > status.valid_until:
            return f"no owner: nobody polls it since {instant(status.at)}"
        return _told(organization.name, status)

    @property
    def first_key(self) -> bool | None:
        """Whether it is sealed with the first key; None: nothing is sealed, or there are no keys here."""
        sealed = self.organization.credential_ciphertext
        return None if sealed is None or not self.keys else sealing_key_id(sealed) == self.keys[0]

    @property
    def expiry(self) -> str:
        """When the key expires, with a warning from 30 days before."""
        expires = self.organization.credential_expires
        if expires is None:
            return ""
        day, left = instant(expires)[:10], expires - self.now_ms
        if left <= 0:
            return f"{day}: EXPIRED"
        days = -(-left // DAY_MS)
        return f"{day}: in {days} day{'s'[: days > 1]}{_mark(days)}" if self.warning else day

    @property
    def warning(self) -> int | None:
        """The smallest of 0, 1, 7 and 30 that the key has not more days left than."""
        expires = self.organization.credential_expires
        if expires is None:
            return None
        return next((days for days in (0, *WARN_DAYS) if expires - self.now_ms <= days * DAY_MS), None)

    def document(self) -> dict[str, Any]:
        """For machines: instants in ISO 8601, and what the producer told under `status`."""
        facts = shown(self.organization)
        facts |= {name: exact(facts[name]) for name in _SHOWN_INSTANTS}
        facts |= {"state_in_words": self.state, "credential_expires_within_days": self.warning}
        facts |= {"sealed_with_first_key": self.first_key}
        return facts | {"status": None if self.status is None else _document(self.status, self.now_ms)}


async def statuses(connection: Connection) -> dict[str, Status]:
    """The status board. Raises RelayError."""
    with plainly(connection):
        return await read_statuses(connection, Topics(connection.kafka.topic_prefix).status)


def views(
    found: Mapping[str, Organization], statuses: Mapping[str, Status], now_ms: int, keys: Sequence[str] = ()
) -> list[View]:
    return [View(found[name], statuses.get(status_key(name)), now_ms, keys) for name in sorted(found)]


def _told(name: str, status: Status) -> str:
    reason = (status.reason or "").removeprefix(f"{name}: ")
    match status.state:
        case "active" if status.backfilled_to is not None:
            return f"active; history has been read back to {instant(status.backfilled_to)}"
        case "waiting":
            return f"waiting until {instant(status.waiting_until)}: {reason}"
        case "failing":
            return f"failing since {instant(status.since)}: {reason}"
        case "paused":
            return "starting"
    return status.state


def _mark(days: int) -> str:
    return "!" * sum(days <= limit for limit in WARN_DAYS)


def _document(status: Status, now_ms: int) -> dict[str, Any]:
    document = asdict(status)
    document |= {name: exact(document[name]) for name in _STATUS_INSTANTS}
    document |= {"valid_until": exact(status.valid_until), "valid": now_ms <= status.valid_until}
    document["transitions"] = [entry | {"at": exact(entry["at"])} for entry in document["transitions"]]
    document["counts"] = [entry | {"hour": exact(entry["hour"])} for entry in document["counts"]]
    return {
        name: value for name, value in document.items() if name not in {"epoch", "lag", "start", "offsets"}
    }


def shown(organization: Organization) -> dict[str, Any]:
    """An organization as an operator may see it: without its secret."""
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
