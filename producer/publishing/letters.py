"""The content of one transaction of a redrive: the records of dead letters that today's code can read. Pure.

1. Ledger and checkpoint decide, as for a record that the source has just shown: one that is published is not published again.
2. The mark of a letter is in the transaction of its event. So no death leaves one without the other.
   A day that no window reaches any more has no ledger. Of its records the topics of events tell whether they are published.
3. A letter is left open, with the reason, wherever it is not certain that its record is in Kafka, or may be put there.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from producer.events import Event, UnreadableRecord, content_hash
from producer.publishing.deduplication import (
    UNDECIDED,
    Deduplicator,
    SameId,
    deduplicated,
    newest_event,
    records_with_one_id,
)
from producer.publishing.shard_topics import ShardTopics
from producer.publishing.transaction import (
    Transaction,
    TransactionPlan,
    build_transaction,
    encode_event,
    max_value_bytes,
)
from producer.state.checkpoint import Checkpoint, EventTime
from producer.state.ledger import Ledger, event_time, variant_key
from producer.state.mode import Mode, is_no_longer_read, mode_of
from producer.state.shard_state import OrganizationState
from relay.dead_letters.letter import DeadLetter, mark_record
from relay.errors import RelayError
from relay.kafka.producer import ProducerRecord
from relay.kafka.topic_facts import TopicLimits
from relay.timestamps import DAY_MS

EVENTS_DELETED: Final = (
    "Kafka has deleted the ledger of the record's day, and events that were published since the record was created, so it is not known"
    " whether the record was one of them. Compare its id with the events at the destinations; the letter keeps it."
)
OTHER_RECORD: Final = "Another record with this id was published, and Kafka has deleted the ledger of the record's day, so it is not known which one was."
CLOCK_MARGIN_MS: Final = DAY_MS
"""How far a producer's clock, which dates events, may have been behind that of the source, which dates records."""
NOT_WANTED: Final = "The record is older than its organization's first day in the relay, and no history of that time is wanted (--backfill-days)."


class EventsUnavailableError(RelayError):
    """The topics of events cannot be looked at now. A later attempt may succeed."""


@dataclass(frozen=True, slots=True)
class PublishedEvents:
    """Events of one organization that were found on its topics. Of those that were asked for none is missing that was published since
    `live_since`, or on the topic of backfill since `backfill_since` (Kafka's timestamps, in ms).
    """

    found: set[EventTime]
    live_since: float
    backfill_since: float


@dataclass(frozen=True, slots=True)
class ReadLetter:
    """A producer's dead letter, and what today's code reads from it: an event, or why there is none. `key`: of its record."""

    letter: DeadLetter
    key: bytes | None
    content: Event | str


@dataclass(frozen=True, slots=True)
class OlderLetter:
    """Offset of a letter, and id and `created` of its record: all that is held of it until the topics are looked at."""

    offset: int
    time: EventTime


@dataclass(frozen=True, slots=True)
class LetterRedrive:
    """Letters of one organization in their order. `overlap` in ms; `backfill_from` None: no history is wanted.

    `published`: what the topics have of the records whose days have no ledger any more; None: nobody has looked yet.
    """

    replay_id: str
    letters: Sequence[ReadLetter]
    overlap: int
    backfill_from: int | None
    published: PublishedEvents | None = None
    same_id: SameId = field(init=False)

    def __post_init__(self) -> None:
        # Letters with one id and one `created` are of one record, though a name in it may have changed between them.
        events = {
            event_time(one.content): one.content for one in self.letters if isinstance(one.content, dict)
        }
        object.__setattr__(self, "same_id", records_with_one_id(events.values()))

    def note_published(self, plan: "PlannedLetters") -> None:
        """Take note of committed events: another letter may have the record of one, and its day may have no ledger."""
        if self.published is not None:
            self.published.found.update(map(event_time, plan.plan.events))


@dataclass(slots=True)
class LetterResult:
    """Letters by their end: `published` now, `known` to be published before, left open by the reason.

    `older`: those whose days have no ledger, so that the topics must be looked at first. They count in nothing else.
    """

    published: int = 0
    known: int = 0
    left: Counter[str] = field(default_factory=Counter)
    older: list[OlderLetter] = field(default_factory=list)

    def add(self, other: "LetterResult") -> None:
        self.published += other.published
        self.known += other.known
        self.left.update(other.left)
        self.older += other.older


@dataclass(frozen=True, slots=True)
class PlannedLetters:
    """One transaction of letters. `taken`: how many letters it deals with, those that stay open too."""

    plan: TransactionPlan
    marks: Sequence[ProducerRecord]
    result: LetterResult
    taken: int


class _Ending(Enum):
    KNOWN = "published already"
    OLDER = "the topics must be looked at first"


def plan_letters(
    redrive: LetterRedrive,
    first: int,
    checkpoint: Checkpoint,
    ledger: Ledger,
    topics: ShardTopics,
    collected: int,
    topic_limits: TopicLimits,
) -> PlannedLetters:
    """Take as many letters from index `first` on as fit one transaction."""
    limits, name = topics.limits, topics.names.dead_letters
    deduplicator = Deduplicator(ledger, newest_event(checkpoint, ledger), redrive.same_id)
    events: list[Event] = []
    values: list[bytes] = []
    marks: list[ProducerRecord] = []
    times: set[EventTime] = set()
    result, size, taken = LetterResult(), 0, 0
    for one in redrive.letters[first:]:
        found = _event_of(one, redrive, checkpoint, ledger, deduplicator, collected)
        if isinstance(found, dict) and event_time(found) in times:
            found = _Ending.KNOWN  # another letter of one record, as after a user that it names was renamed
        value = b""
        if isinstance(found, dict):
            encoded = encode_event(
                found, topics.event_encoder, max_value_bytes(found, topic_limits), _no_json
            )
            found, value = (
                (encoded.reason, b"") if isinstance(encoded, UnreadableRecord) else (found, encoded)
            )
        if found is _Ending.OLDER and isinstance(one.content, dict):
            result.older.append(OlderLetter(one.letter.offset, event_time(one.content)))
            taken += 1
            continue
        full = len(marks) == limits.max_dead_letters or len(events) == limits.max_events
        if not isinstance(found, str) and marks and (full or size + len(value) > limits.max_bytes):
            break
        taken += 1
        if isinstance(found, str):
            result.left[found] += 1
            continue
        known = found is _Ending.KNOWN
        marks.append(
            mark_record(name, one.letter, one.key, redrive.replay_id, collected, published_before=known)
        )
        result.known += known
        if isinstance(found, dict):
            deduplicator.take(found)
            times.add(event_time(found))
            events.append(found)
            values.append(value)
            size += len(value)
    result.published = len(events)
    return PlannedLetters(TransactionPlan(collected, events, values), marks, result, taken)


def earliest_publication(created: int, checkpoint: Checkpoint) -> int:
    """Return the first instant at which the event of a record may have been published; all in ms UTC.

    It may be long before its letter: a release that could read the record published it, and a later one that could not read it
    any more met it in a re-read.
    """
    return max(created, checkpoint.live_since) - CLOCK_MARGIN_MS


def letter_transaction(
    state: OrganizationState,
    redrive: LetterRedrive,
    first: int,
    topics: ShardTopics,
    collected: int,
    topic_limits: TopicLimits,
) -> tuple[PlannedLetters, Transaction | None]:
    """Return the next transaction of a redrive; None: none of the rest can be published. Raises ProgressTooLargeError."""
    checkpoint, ledger = state.checkpoint, state.ledger
    if checkpoint is None:
        raise ValueError(f"{ledger.organization} has no checkpoint yet")
    plan = plan_letters(redrive, first, checkpoint, ledger, topics, collected, topic_limits)
    if not plan.marks:
        return plan, None
    transaction = build_transaction(
        plan.plan, checkpoint, ledger, topics, topic_limits, window_complete=False
    )
    return plan, transaction.with_marks(plan.marks)


def _event_of(
    one: ReadLetter,
    redrive: LetterRedrive,
    checkpoint: Checkpoint,
    ledger: Ledger,
    deduplicator: Deduplicator,
    collected: int,
) -> Event | _Ending | str:
    """Return the event to publish, or why the letter stays open."""
    if isinstance(one.content, str):
        return one.content
    event = one.content
    if one.letter.reason.startswith(UNDECIDED) and not _has_variant(event, ledger):
        return (
            one.letter.reason
        )  # one of several records with the id was published before the letter, and none knows which
    mode: Mode | None
    if is_no_longer_read(event["created"], checkpoint):
        if (ending := _on_topics(event, redrive, checkpoint)) is not None:
            return ending
        mode = _old_mode(event["created"], checkpoint, redrive.backfill_from)
    else:
        mode = mode_of(event["created"], checkpoint, redrive.overlap, redrive.backfill_from)
    if mode is None:
        return NOT_WANTED
    found = deduplicated(
        {**event, "collected": collected, "mode": mode, "variant": None}, deduplicator, _no_json
    )
    if isinstance(found, UnreadableRecord):
        return found.reason
    return _Ending.KNOWN if found is None else found


def _on_topics(event: Event, redrive: LetterRedrive, checkpoint: Checkpoint) -> _Ending | str | None:
    """Return how a letter ends by what the topics have of its record. None: it was never published."""
    if (published := redrive.published) is None:
        return _Ending.OLDER
    time = event_time(event)
    if time in published.found:
        return _Ending.KNOWN
    if any(each.id == time.id for each in published.found):
        return OTHER_RECORD
    live = time.created >= checkpoint.live_since
    since = published.live_since if live else published.backfill_since
    return EVENTS_DELETED if earliest_publication(time.created, checkpoint) <= since else None


def _old_mode(created: int, checkpoint: Checkpoint, backfill_from: int | None) -> Mode | None:
    if created >= checkpoint.live_since:
        return "late"
    return None if backfill_from is None or created < backfill_from else "backfill"


def _has_variant(event: Event, ledger: Ledger) -> bool:
    return ledger.contains(variant_key(content_hash(event)))


def _no_json(_event: Event) -> bytes:
    """Take the place of the source's `restore`: the letter has the JSON of the record already."""
    return b""
