"""The producers' part of a refill, as they report it: how far the window of one organization is read from its source. Pure."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Final, Literal

from relay.avro.codec import InternalCodec
from relay.replays.job import ReplaySkip

REPLAY_HEADER: Final = "relay.replay"
"""Header of an event on the topic of backfill that is there for one replay alone, with the id of the replay."""

RefillState = Literal["running", "done", "failed"]
_CODEC = InternalCodec("refill_progress")


@dataclass(frozen=True, slots=True)
class UnreadRange:
    """A half-open range of `created`, in ms UTC, that the source failed to serve."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class RefillProgress:
    """The fields of `schemas/refill_progress.avsc`; instants are ms UTC.

    A report: the checkpoint of the organization decides how far the window is read.
    """

    id: str
    organization: str
    state: RefillState
    since: int
    at: int
    reason: str | None = None
    read_to: int | None = None
    events: int = 0
    unreadable: int = 0
    end: int | None = None
    unread: tuple[UnreadRange, ...] = ()
    known: int = 0
    lost: int = 0
    skips: tuple[ReplaySkip, ...] = ()

    @property
    def ended(self) -> bool:
        return self.state != "running"

    def in_state(self, state: RefillState, reason: str | None, now: int) -> "RefillProgress":
        """Return the progress with this state and reason; `since` changes with them alone."""
        since = self.since if (state, reason) == (self.state, self.reason) else now
        return replace(self, state=state, reason=reason, since=since, at=now)

    def to_value(self) -> bytes:
        return _CODEC.encode(asdict(self))

    @classmethod
    def from_value(cls, value: bytes) -> "RefillProgress":
        """Read a record. An unknown state counts as running. Raises NotAvro, BadBody or UnknownSchema."""
        record = _CODEC.decode(value)
        state = record["state"] if record["state"] in {"done", "failed"} else "running"
        unread = tuple(UnreadRange(**one) for one in record["unread"])
        skips = tuple(ReplaySkip(**each) for each in record["skips"])
        return cls(**record | {"state": state, "unread": unread, "skips": skips})


def replay_of(headers: Sequence[tuple[str, bytes]]) -> str | None:
    """Return the id of the replay that a record on the topic of backfill is there for; None: it is for every destination."""
    found = (value for name, value in headers if name == REPLAY_HEADER and value)  # Kafka allows null too
    return next((value.decode("utf-8", "replace") for value in found), None)
