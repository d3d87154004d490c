"""Compare the hops of one day: what the audit log has, what Kafka has, and what each destination accepted. Pure."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from management.completeness.canonical import EventKey
from management.completeness.read_back_day import ReadBackDay
from management.completeness.texts import MAX_NAMED_IDS, MEANINGS, ids_behind, ids_text

if TYPE_CHECKING:
    from management.completeness.topic_scan import PlacedEvent

DayState = Literal["complete", "provisional", "differing", "unproven", "not collected"]
DeliveryState = Literal[
    "accepted",
    "left out",
    "not begun",
    "redriven",
    "replayed",
    "dead letter",
    "lost",
    "skipped",
    "pending",
    "not known",
]
SETTLED: frozenset[DeliveryState] = frozenset({"accepted", "left out", "not begun", "redriven", "replayed"})
"""What became of an event for which nothing is to be done. A destination that was added later has not begun before."""


@dataclass(frozen=True, slots=True)
class SourceDay:
    """What the audit log lists for a day. `uncollected`: events that the relay is not to have, as from before it was added.

    `awaited`: events that polling has not come to yet. `dead_letters`: how many records it lists that are dead letters of a producer. `unreadable`: how many more cannot be read.
    `failure`: why it was not listed to its end; None: it was.
    """

    events: Sequence[EventKey] = ()
    uncollected: int = 0
    dead_letters: int = 0
    unreadable: int = 0
    failure: str | None = None
    awaited: int = 0
    is_general: bool = False
    """Whether the failure is none of this day alone, as a refused key: to ask for another day would be the same attempt again."""


@dataclass(frozen=True, slots=True)
class KafkaDay:
    """What Kafka has of a day. `kept`: retention has deleted nothing of it. `ledger`: the ids of its ledger; None: it has expired.

    `undecodable`: records of the organization that may be events of the day, and cannot be decoded. `corrupt`: batches of the
    partition that are damaged; what they held counts as deleted. `lost_letters`: dead letters of a producer that the ledger names,
    and the topic of dead letters lacks.
    """

    events: Sequence[EventKey] = ()
    kept: bool = True
    ledger: AbstractSet[int] | None = None
    undecodable: int = 0
    corrupt: int = 0
    lost_letters: int = 0


@dataclass(frozen=True, slots=True)
class DeliveryDay:
    """What became of the events of a day at one destination: how many, and the ids of those that are not settled."""

    counts: Mapping[DeliveryState, int] = field(default_factory=dict)
    ids: Mapping[DeliveryState, Sequence[int]] = field(default_factory=dict)
    accepted: Sequence["PlacedEvent"] = field(default=(), repr=False)
    """The events that it accepted, for those who ask whether it still has them."""

    @property
    def is_settled(self) -> bool:
        return not any(count for word, count in self.counts.items() if word not in SETTLED)


@dataclass(frozen=True, slots=True)
class Differences:
    """Ids by kind of difference, each sorted. Without any, the audit log and Kafka agree as far as both can be read.

    `missing`: the audit log has them, and Kafka lacks them. `removed`: Kafka has them, and the audit log lists them no more.
    `altered`: both have them, with other content. `deleted`: their ledger holds them, and their topic lacks them though its
    retention has not come to them. `unrecorded`: their topic has them, and their ledger lacks them. `repeated`: their topic has
    them more than once.
    """

    missing: Sequence[int] = ()
    removed: Sequence[int] = ()
    altered: Sequence[int] = ()
    deleted: Sequence[int] = ()
    unrecorded: Sequence[int] = ()
    repeated: Sequence[int] = ()

    def named(self) -> dict[str, Sequence[int]]:
        """Return the kinds that have ids."""
        return {each.name: ids for each in fields(self) if (ids := getattr(self, each.name))}

    def shared_with(self, other: "Differences") -> "Differences":
        """Return the ids that both have, by kind."""
        return Differences(
            *(
                tuple(sorted(set(getattr(self, each.name)) & set(getattr(other, each.name))))
                for each in fields(self)
            )
        )


@dataclass(frozen=True)
class DayAccount:
    """The account of one organization and UTC day (of `created`). `source` None: the audit log was not asked."""

    organization: str
    day: str
    source: SourceDay | None
    kafka: KafkaDay
    destinations: Mapping[str, DeliveryDay]
    offsets: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    """First and last offset of its events, by partition, such as `events/3`."""
    read_back: Mapping[str, ReadBackDay] = field(default_factory=dict)
    """What the destinations that were asked still have."""
    seen_before: Differences | None = None
    """The differences of an earlier look: what it did not show may be an event on its way. None: there was none."""

    @cached_property
    def differences(self) -> Differences:
        found = compare(self.source, self.kafka)
        return found if self.seen_before is None else found.shared_with(self.seen_before)

    @property
    def state(self) -> DayState:
        """Return the state of the day, as if no record could come late any more."""
        lost = any(each.missing for each in self.read_back.values())
        kafka = self.kafka
        if self.differences.named() or kafka.undecodable or kafka.lost_letters or self._is_behind or lost:
            return "differing"
        unknown = not all(each.is_known for each in self.read_back.values())
        if unknown or self.source is None or self.source.failure is not None or not self.kafka.kept:
            return "unproven"
        if self.source.uncollected and not self.source.events and not self.kafka.events:
            return "not collected"
        settled = all(each.is_settled for each in self.destinations.values())
        return "complete" if settled else "differing"

    @property
    def _is_behind(self) -> bool:
        """Whether the audit log lists records that Kafka does not have as events."""
        source = self.source
        return source is not None and source.unreadable + source.dead_letters + source.awaited > 0

    def findings(self) -> list[str]:
        """Return a sentence for each departure, with ids."""
        return [
            *self._source_findings(),
            *(f"{MEANINGS[kind]}: {ids_text(ids)}." for kind, ids in self.differences.named().items()),
            *self._kafka_findings(),
            *(
                f"{name}: {count:,} {word}{ids_behind(day.ids.get(word, ()))}."
                for name, day in sorted(self.destinations.items())
                for word, count in day.counts.items()
                if count and word not in SETTLED
            ),
            *(text for name, day in sorted(self.read_back.items()) for text in day.findings(name)),
        ]

    def _source_findings(self) -> list[str]:
        if self.source is None:
            return ["The audit log was not asked."]
        found = (
            [] if self.source.failure is None else [f"The audit log was not listed: {self.source.failure}"]
        )
        if self.source.awaited:
            found.append(
                f"The audit log has {self.source.awaited:,} events that polling has not come to yet; the status of the organization says why."
            )
        if self.source.unreadable:
            found.append(f"The audit log has {self.source.unreadable:,} records that cannot be read.")
        if self.source.dead_letters:
            found.append(f"The audit log has {self.source.dead_letters:,} records that are dead letters.")
        return found

    def _kafka_findings(self) -> list[str]:
        found = []
        if self.kafka.undecodable:
            found.append(f"Kafka has {self.kafka.undecodable:,} records that cannot be decoded.")
        if self.kafka.lost_letters:
            found.append(
                f"The ledger names {self.kafka.lost_letters:,} dead letters of a producer that their topic lacks."
            )
        if self.kafka.corrupt and (self.differences.deleted or self.differences.missing):
            found.append(
                f"Kafka has {self.kafka.corrupt:,} batches in this partition that are damaged, and may hold them."
            )
        if not self.kafka.kept:
            found.append("Kafka's retention has come to this day, so contents are not compared.")
        return found

    def document(self) -> dict[str, Any]:
        """Return the account as JSON: what a seal states of it."""
        source = self.source
        return {
            "state": self.state,
            "reason": " ".join(self.findings()),
            "source": None
            if source is None
            else {
                "events": len(source.events),
                "uncollected": source.uncollected,
                "dead_letters": source.dead_letters,
                "unreadable": source.unreadable,
                "awaited": source.awaited,
                "failure": source.failure,
            },
            "kafka": {
                "events": len(self.kafka.events),
                "kept": self.kafka.kept,
                "ledger": None if self.kafka.ledger is None else len(self.kafka.ledger),
                "undecodable": self.kafka.undecodable,
                "corrupt": self.kafka.corrupt,
                "lost_letters": self.kafka.lost_letters,
                "offsets": {name: list(each) for name, each in sorted(self.offsets.items())},
            },
            "differences": {
                kind: {"count": len(ids), "ids": list(ids[:MAX_NAMED_IDS])}
                for kind, ids in self.differences.named().items()
            },
            "destinations": {
                name: {
                    "counts": {word: count for word, count in sorted(day.counts.items()) if count},
                    "ids": {word: list(ids[:MAX_NAMED_IDS]) for word, ids in sorted(day.ids.items()) if ids},
                }
                for name, day in sorted(self.destinations.items())
            },
        } | (
            {"read_back": {name: day.document() for name, day in sorted(self.read_back.items())}}
            if self.read_back
            else {}
        )


def compare(source: SourceDay | None, kafka: KafkaDay) -> Differences:
    """Return the differences of a day. Where retention has deleted events, their ledger counts for them, and no content is compared."""
    on_topic = set(kafka.events)
    repeated = Counter(kafka.events) if len(on_topic) < len(kafka.events) else {}
    topic_ids = {each.id for each in on_topic}
    ledger = kafka.ledger
    deleted = ledger - topic_ids if ledger is not None and kafka.kept else set()
    unrecorded = topic_ids - ledger if ledger is not None else set()
    missing, removed, altered = (
        (set[int](), set[int](), set[int]())
        if source is None or source.failure is not None
        else _against_source(source.events, on_topic, kafka)
    )
    return Differences(
        tuple(sorted(missing)),
        tuple(sorted(removed)),
        tuple(sorted(altered)),
        tuple(sorted(deleted)),
        tuple(sorted(unrecorded)),
        tuple(sorted({each.id for each, count in repeated.items() if count > 1})),
    )


def _against_source(
    listed: Iterable[EventKey], on_topic: AbstractSet[EventKey], kafka: KafkaDay
) -> tuple[set[int], set[int], set[int]]:
    """Return the ids that Kafka lacks, that the audit log lacks, and whose content differs.

    Events that share an id are paired: equal contents first, then one with another as altered.
    """
    source = set(listed)
    source_ids = {each.id for each in source}
    of_source, of_topic = _by_id(source - on_topic), _by_id(on_topic - source)
    known = frozenset[int]() if kafka.kept else kafka.ledger or frozenset()
    unknowable = not kafka.kept and kafka.ledger is None
    missing, removed, altered = set[int](), set[int](), set[int]()
    for event_id in of_source.keys() | of_topic.keys() | (known - source_ids):
        only_source, only_stored = of_source.get(event_id, 0), of_topic.get(event_id, 0)
        if only_source and only_stored:
            altered.add(event_id)
        elif only_source and not unknowable and event_id not in known:
            missing.add(event_id)
        elif only_stored or event_id not in source_ids:
            removed.add(event_id)
    return missing, removed, altered


def _by_id(events: Iterable[EventKey]) -> Mapping[int, int]:
    """Return how many of the events have each id."""
    return Counter(each.id for each in events)
