"""What became of the events of a day at each destination: the place of each event against what the destination has committed."""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import get_args

from consumer.group_names import PipelineFlow, group_name
from consumer.losses.lost_range import LostRange
from consumer.offsets.delivered import DeliveryProgress
from management.change_history import ChangeEntry
from management.completeness.proof import SETTLED, DeliveryDay, DeliveryState
from management.completeness.replayed_events import NO_REPLAYS, ReplayedEvents
from management.completeness.topic_scan import SLACK_MS, PlacedEvent, kept_from
from management.destination_offsets import topic_of
from management.events.delivery_words import has_skipped_before, skipped_by
from management.events.stored_event import EventAddress
from producer.events import UnreadableRecord
from producer.state.ledger import record_hash
from relay.dead_letters.assembly import WholeLetter
from relay.dead_letters.closings import LetterState
from relay.dead_letters.log import open_letter_log
from relay.kafka import TopicPartition
from relay.kafka.connection import Connection
from relay.kafka.group_offsets import open_group
from relay.kafka.topic_admin import read_topic_facts
from relay.kafka.topic_facts import retention_ms
from relay.kafka.topics import Topics
from relay.timestamps import day_start

_DELIVERED: Collection[DeliveryState] = ("accepted", "redriven", "replayed")
_REDRIVEN: Collection[LetterState] = ("redriven", "duplicate")
_FLOWS: Mapping[str, Sequence[PipelineFlow]] = {"events": ("live", "older"), "backfill": ("history",)}
"""The flows that deliver the events of each topic."""


@dataclass(slots=True)
class Letters:
    """The dead letters of a partition. `of_destinations`: the state of the newest letter of each event, by destination and place.

    `of_producers`: the hash of each record that a producer could not publish, by organization.
    """

    of_destinations: dict[tuple[str, EventAddress], LetterState] = field(default_factory=dict)
    of_producers: dict[str, set[bytes]] = field(default_factory=dict)
    organizations: dict[tuple[str, EventAddress], str] = field(default_factory=dict)
    """The organization of each event in `of_destinations`."""
    kept_from: int = 0
    """Retention has deleted no letter of an event that was collected then or later (ms UTC)."""

    def add(self, whole: WholeLetter, state: LetterState, topics: Topics) -> None:
        """Take the next letter. One that was given up and written again to its end is listed behind that, and says nothing."""
        letter, shorts = whole.letter, {topics.events: "events", topics.backfill: "backfill"}
        if whole.is_cut_short and state == "duplicate":
            return
        if letter.destination is None:
            hashes = self.of_producers.setdefault(letter.organization or "", set())
            hashes.add(record_hash(UnreadableRecord("", whole.content()[0])))
        elif letter.original is not None and letter.original[0] in shorts:
            topic, partition, offset = letter.original
            key = letter.destination, EventAddress(shorts[topic], partition, offset)
            self.of_destinations[key], self.organizations[key] = state, letter.organization or ""

    def open_of(self, destination: str, organization: str) -> Iterator[EventAddress]:
        """Yield the places of the events of an organization that a destination has not accepted."""
        for key, state in self.of_destinations.items():
            if key[0] == destination and state not in _REDRIVEN and self.organizations[key] == organization:
                yield key[1]


@dataclass(frozen=True, slots=True)
class DestinationProgress:
    """How far the flows of a destination are in one partition. A flow that has committed nothing there is missing."""

    name: str
    flows: Mapping[PipelineFlow, DeliveryProgress]
    moves: Sequence[ChangeEntry] = ()
    """Moves of its offsets by operators, newest first."""
    losses: Sequence[LostRange] = ()
    """Ranges of the partition that retention deleted before the destination had accepted them."""
    replayed: ReplayedEvents = NO_REPLAYS

    def state_of(
        self, event: PlacedEvent, letters: Letters, organization: str = "", day: str = ""
    ) -> DeliveryState:
        """Return what became of an event of a day; the surest cause counts.

        The live flow commits its start before it reads, so a destination without one runs nowhere, and has everything before it.
        """
        flow = self._flow_of(event.place)
        letter = letters.of_destinations.get((self.name, event.place))
        if letter is not None:
            return "redriven" if letter in _REDRIVEN else "dead letter"
        progress = self.flows.get(flow)
        if progress is None:
            return "not begun" if "live" in self.flows else "pending"
        if not _is_delivered(progress, event.place.offset):
            return "pending"
        was_skipped = skipped_by(self.moves, self.name, (flow, progress), event.place) is not None
        if was_skipped and not self.replayed.has(event, organization, day):
            return "skipped"
        if self.name in event.left_out:
            return "left out"
        if was_skipped:
            return "replayed"
        return "accepted" if event.collected >= letters.kept_from else "not known"

    def state_of_deleted(
        self, day: str, letters: Letters, organization: str, begins: Sequence[EventAddress]
    ) -> DeliveryState:
        """Return what became of the events of a day that retention has deleted. `begins`: the first place of each topic.

        Retention deletes from the oldest on, and a consumer records each range that it had not accepted. So what is in no such
        range was accepted, or left out, unless a dead letter or a move by an operator says otherwise of a deleted event.
        An event is collected a day before its own at the earliest, as the clocks may differ.
        """
        if not self.flows:
            return "not known"
        earliest = day_start(day) - SLACK_MS
        is_lost = earliest < letters.kept_from or any(
            each.collected_before > earliest for each in self.losses
        )
        is_letter = any(
            place.topic == begin.topic and place.offset < begin.offset
            for place in letters.open_of(self.name, organization)
            for begin in begins
        )
        is_skipped = any(
            has_skipped_before(self.moves, self.name, flow, begin, earliest)
            for begin in begins
            for flow in _FLOWS[begin.topic]
        )
        return "not known" if is_lost or is_letter or is_skipped else "accepted"

    def _flow_of(self, place: EventAddress) -> PipelineFlow:
        if place.topic != "events":
            return "history"
        live = self.flows.get("live")
        older = live is not None and live.live_from is not None and place.offset < live.live_from
        return "older" if older else "live"


def _is_delivered(progress: DeliveryProgress, offset: int) -> bool:
    return offset < progress.offset or any(
        each.first <= offset < each.stop for each in progress.delivered_ahead
    )


def delivery_day(
    destination: DestinationProgress,
    events: Iterable[PlacedEvent],
    letters: Letters,
    organization: str,
    day: str,
    deleted: Iterable[int] = (),
    begins: Sequence[EventAddress] = (),
) -> DeliveryDay:
    """Return the account of a day at one destination. Pure.

    `deleted`: the ids that retention has taken from the topics. `begins`: the first place of each topic.
    """
    ids: dict[DeliveryState, list[int]] = {}
    counts: Counter[DeliveryState] = Counter()
    accepted = list[PlacedEvent]()
    for event in events:
        state = destination.state_of(event, letters, organization, day)
        counts[state] += 1
        if state in _DELIVERED:
            accepted.append(event)
        if state not in SETTLED:
            ids.setdefault(state, []).append(event.key.id)
    if taken := {*deleted}:
        state = destination.state_of_deleted(day, letters, organization, begins)
        counts[state] += len(taken)
        if state not in SETTLED:
            ids.setdefault(state, []).extend(taken)
    return DeliveryDay(
        dict(+counts), {state: sorted(found) for state, found in ids.items() if found}, accepted
    )


async def read_destination(
    connection: Connection,
    name: str,
    partition: int,
    moves: Sequence[ChangeEntry],
    losses: Iterable[LostRange] = (),
    replayed: ReplayedEvents = NO_REPLAYS,
) -> DestinationProgress:
    """Return how far a destination is. Raises RelayError, or an error of KAFKA_FAILURES."""
    topics, flows = Topics(connection.kafka.topic_prefix), dict[PipelineFlow, DeliveryProgress]()
    for flow in get_args(PipelineFlow):
        topic = topic_of(topics, flow)
        async with open_group(connection, group_name(topics.prefix, name, flow), topic) as opened:
            committed = (await opened.read()).committed.get(TopicPartition(topic, partition))
        if committed is not None:
            flows[flow] = DeliveryProgress.from_offset_and_metadata(committed.offset, committed.metadata)
    own = [each for each in moves if each.name == name and each.what in {"skipped", "rewound"}]
    here = [each for each in losses if each.partition == partition]
    return DestinationProgress(name, flows, own, here, replayed)


async def read_letters(connection: Connection, organization: str, now_ms: int) -> Letters:
    """Return the dead letters of the partition of an organization. Raises RelayError, or an error of KAFKA_FAILURES."""
    topics, found, oldest = Topics(connection.kafka.topic_prefix), Letters(), now_ms
    async with open_letter_log(connection, organization, lambda _: None) as log:
        async for whole, state in log.letters():
            oldest = min(whole.letter.at, oldest)
            found.add(whole, state, topics)
        has_all = not any(each.log_start_offset for each in log.bounds.values())
    if not has_all:
        config = (await read_topic_facts(connection)).config(topics.dead_letters)
        found.kept_from = kept_from(oldest, retention_ms(config), now_ms)
    return found
