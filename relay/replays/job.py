"""A replay: what is asked for, how far it has come, and the rules that follow from both. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Final, Literal, get_args

from relay.kafka import TopicPartition

Content = Literal["events", "dead-letters", "refill", "unreadable"]
Wish = Literal["running", "paused", "cancelled"]
State = Literal["waiting", "running", "paused", "done", "failed", "cancelled"]

ENDED: Final = frozenset({"done", "failed", "cancelled"})


@dataclass(frozen=True, slots=True)
class ReplayRange:
    """Offsets [start, end) of one partition."""

    topic: str
    partition: int
    start: int
    end: int

    @property
    def tp(self) -> TopicPartition:
        return TopicPartition(self.topic, self.partition)


@dataclass(frozen=True, slots=True)
class ReplayLost:
    """The lost range that a replay brings back: offsets [start, stop), noticed at `at` (ms UTC)."""

    topic: str
    partition: int
    start: int
    stop: int
    at: int

    @property
    def name(self) -> str:
        """Its short name in commands, such as `events/3/1200`."""
        return f"{self.topic.rpartition('.')[2]}/{self.partition}/{self.start}"


@dataclass(frozen=True, slots=True)
class ReplayPlace:
    """How far one range is delivered: as `DeliveryProgress.to_offset_and_metadata` writes it."""

    topic: str
    partition: int
    offset: int
    metadata: str

    @property
    def tp(self) -> TopicPartition:
        return TopicPartition(self.topic, self.partition)


@dataclass(frozen=True, slots=True)
class ReplaySkip:
    """Records that were skipped for one reason."""

    reason: str
    count: int


@dataclass(frozen=True, slots=True)
class ReplayJob:
    """What an operator asks for. Times are ms UTC; `from_ms` is inclusive, `to_ms` exclusive, None: no bound."""

    id: str
    destination: str
    content: str
    """A `Content`; a job of another word is of a later release."""
    requested_at: int
    requested_by: str
    wished: Wish
    wished_at: int
    wished_by: str
    by: str = "collected"
    from_ms: int | None = None
    to_ms: int | None = None
    organizations: tuple[str, ...] = ()
    """These alone; empty: all."""
    events: tuple[str, ...] = ()
    """`ORGANIZATION/ID` of these alone; empty: all."""
    where: str | None = None
    reason: str | None = None
    """Part of the reason of the dead letters to deliver; None: all."""
    archive: str | None = None
    to_live: bool = False
    rate: int | None = None
    """Events a second, at most; None: no limit."""
    ranges: tuple[ReplayRange, ...] = ()
    lost: ReplayLost | None = None
    target: str | None = None
    """Where the events go, in the words of `consumer.targets.target.Target.address`; None: the job is of an earlier release."""

    @property
    def unknown_word(self) -> str | None:
        """The first word that this release does not know, so that it must not run the job; None: it knows all."""
        known = ((self.content, get_args(Content)), (self.by, ("collected", "created")))
        return next((word for word, words in known if word not in words), None)


@dataclass(frozen=True, slots=True)
class ReplayProgress:
    """How far a replay has come. The counts are of the records before and within `places`; times are ms UTC."""

    id: str
    state: State
    since: int
    at: int
    owner: str
    started_at: int
    reason: str | None = None
    finished_at: int | None = None
    read: int = 0
    """Records: sent, skipped and dead-lettered ones."""
    sent: int = 0
    skipped: int = 0
    dead_lettered: int = 0
    lost: int = 0
    """Offsets that Kafka deleted before they were read, and that no archive has."""
    places: tuple[ReplayPlace, ...] = ()
    skips: tuple[ReplaySkip, ...] = ()
    """The skipped records that have a reason of their own."""

    @property
    def ended(self) -> bool:
        return self.state in ENDED

    def in_state(self, state: State, reason: str | None, now: int) -> "ReplayProgress":
        """Return the progress with this state. `since` changes with the state alone; `now` is ms UTC."""
        since = self.since if state == self.state else now
        finished = (self.finished_at or now) if state in ENDED else None
        return replace(self, state=state, reason=reason, since=since, at=now, finished_at=finished)


@dataclass(frozen=True, slots=True)
class KnownReplay:
    """One job as the topic has it. `progress` None: no owner has taken it yet."""

    job: ReplayJob
    progress: ReplayProgress | None = None
    producers: Mapping[str, bytes] = field(default_factory=dict)
    """The records of the producers' parts, by organization."""
    sign: int = -1
    """Offset of the last record of its progress, or of the job without one: each sign of life has another. -1: it is not known."""

    @property
    def ended(self) -> bool:
        return self.progress is not None and self.progress.ended

    def offsets_left(self) -> int:
        """Return how many offsets of its ranges are before no place; some hold no record."""
        if self.progress is None:
            return sum(max(0, each.end - each.start) for each in self.job.ranges)
        places = {each.tp: each.offset for each in self.progress.places}
        return sum(
            max(0, each.end - max(each.start, places.get(each.tp, each.start))) for each in self.job.ranges
        )


def new_replay_id(now: int, random_bits: int) -> str:
    """Return an id that sorts by time and is safe in a path: `20261130-071500-ab12`. `now` is ms UTC."""
    return f"{datetime.fromtimestamp(now / 1000, UTC):%Y%m%d-%H%M%S}-{random_bits & 0xFFFF:04x}"


def in_turn(replays: Sequence[KnownReplay]) -> list[KnownReplay]:
    """Return the replays that have not ended, the oldest first: in this order they get a place among the running ones."""
    return sorted((each for each in replays if not each.ended), key=lambda each: each.job.id)
