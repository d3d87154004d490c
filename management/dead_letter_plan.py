"""What a redrive of dead letters would do: the letters of each destination, and those that stay open with the reason."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace

import polars as pl
from prometheus_client import CollectorRegistry

from consumer.decoding.columns import decode
from consumer.decoding.schema_lookup import SchemaLookup
from consumer.destinations.contract import DestinationConfig
from consumer.metrics import ConsumerMetrics
from consumer.replay.letter_records import NO_EVENT
from consumer.replay.redrive import RedriveSource
from consumer.replay.selection import Selection, compile_selection
from consumer.replay.source import Chunk
from management.corrupt_letters import CorruptLetters
from management.dead_letter_summary import LetterSummary
from management.organizations.store import kafka_errors_as_relay_errors
from relay.config.schema_registry import SchemaRegistryConfig
from relay.dead_letters.assembly import WholeLetter
from relay.dead_letters.letter import DeadLetter, refused_by_live
from relay.dead_letters.log import open_letter_log
from relay.dead_letters.selection import LetterSelection
from relay.kafka.connection import Connection
from relay.kafka.producer import RecordWriter
from relay.kafka.topics import Topics
from relay.replays.job import ReplayJob, ReplayRange
from relay.schema_registry.store import open_schema_store

BY_PRODUCER = (
    "A producer could not read the record, so there is no event to deliver. When the producers run a release that reads it, run"
    " `jira-relay dead-letters redrive --producer`."
)
FILTERED = "The destination's own filter leaves the event out now."


@dataclass(slots=True)
class DestinationLetters:
    """The open letters of one destination that a job may deliver. The counts are those of a run now."""

    destination: str
    summary: LetterSummary = field(default_factory=LetterSummary)
    organizations: set[str] = field(default_factory=set)
    events: int = 0
    by_organization: Counter[str] = field(default_factory=Counter)
    skipped: Counter[str] = field(default_factory=Counter)
    """Letters that the job would leave open, by the reason."""
    left_deleted: bool = False
    """Whether letters of deleted organizations are left out."""
    _bounds: dict[tuple[str, int], tuple[int, int]] = field(default_factory=dict)

    def add(self, topic: str, whole: WholeLetter) -> None:
        letter = whole.letter
        self.summary.add(letter, "open")
        if letter.organization is not None:
            self.organizations.add(letter.organization)
        key, stop = (topic, letter.partition), whole.offsets[-1] + 1
        first, last = self._bounds.get(key, (letter.offset, stop))
        self._bounds[key] = (min(first, letter.offset), max(last, stop))

    def ranges(self) -> tuple[ReplayRange, ...]:
        """Return the ranges that hold these letters, in order."""
        return tuple(ReplayRange(*key, *bounds) for key, bounds in sorted(self._bounds.items()))


@dataclass(slots=True)
class LetterPlan:
    """The letters of a redrive by destination, and why others stay open."""

    by_destination: dict[str, DestinationLetters] = field(default_factory=dict)
    left: Counter[str] = field(default_factory=Counter)
    corrupt: Sequence[str] = ()
    """A sentence for each batch of the topic that cannot be read."""


async def collect_letters(
    connection: Connection,
    selection: LetterSelection,
    destinations: Collection[str],
    organizations: Collection[str],
    *,
    to_live: bool,
) -> LetterPlan:
    """Divide the open letters of a selection by destination. `destinations` and `organizations`: those that exist.

    Letters of a deleted organization are delivered only if the selection names it. Raises RelayError.
    """
    plan, live_topic = LetterPlan(), Topics(connection.kafka.topic_prefix).events
    wanted, corrupt = replace(selection, state="open"), CorruptLetters()
    with kafka_errors_as_relay_errors(connection):
        async with open_letter_log(connection, selection.only_organization, corrupt.add) as log:
            async for whole, state in log.letters():
                letter = whole.letter
                if not wanted.keeps(letter, state):
                    continue
                name = letter.destination
                if name is None:
                    plan.left[BY_PRODUCER] += 1
                    continue
                deleted = letter.organization not in organizations and not selection.organizations
                why = _why_left(whole, name in destinations, deleted=deleted)
                if why is None and to_live and not refused_by_live(letter, live_topic):
                    why = f"The live flow of {name} did not refuse the event, so it stays for a redrive to history (without --to-live)."
                if why is None:
                    found = plan.by_destination.setdefault(name, DestinationLetters(name))
                    found.add(log.topic, whole)
                else:
                    plan.left[why] += 1
                if deleted and letter.organization and name in destinations:
                    plan.by_destination.setdefault(name, DestinationLetters(name)).left_deleted = True
    plan.corrupt = corrupt.texts
    plan.by_destination = {name: each for name, each in plan.by_destination.items() if each.ranges()}
    return plan


def _why_left(whole: WholeLetter, known: bool, *, deleted: bool) -> str | None:
    letter: DeadLetter = whole.letter
    if not letter.organization:
        return NO_EVENT  # an event has the name of its organization as its key
    if not known:
        return (
            f"The settings have no destination {letter.destination}. Configure it under this name again, or keep its events with"
            f" `jira-relay dead-letters export --destination {letter.destination}`."
        )
    if whole.missing is not None:
        return f"The letter is incomplete: {whole.missing}"
    if deleted:
        return f"The organization {letter.organization} was deleted. Give --organization {letter.organization} to redrive its letters."
    return None


async def count_events(
    connection: Connection,
    registry: SchemaRegistryConfig,
    config: DestinationConfig,
    job: ReplayJob,
    letters: DestinationLetters,
) -> None:
    """Count what a run of the job would send and leave out, by its own source and selection. Sends nothing. Raises RelayError."""
    selection = compile_selection(job, job.destination, config)
    metrics = ConsumerMetrics(CollectorRegistry()).for_pipeline(job.destination, "replay")
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(open_schema_store(registry, connection))
        writer = await stack.enter_async_context(
            RecordWriter(connection)
        )  # starts no producer until it writes
        topics, lookup = Topics(connection.kafka.topic_prefix), SchemaLookup(store, metrics)
        source = RedriveSource(connection, job, topics, writer, lookup)
        with kafka_errors_as_relay_errors(connection):
            async for chunk in source.chunks({}):
                await _count_chunk(chunk, selection, lookup, letters)


async def _count_chunk(
    chunk: Chunk, selection: Selection, schemas: SchemaLookup, letters: DestinationLetters
) -> None:
    letters.skipped.update(chunk.left_out.values())
    others = selection.left_out(chunk.records)
    records = [
        each
        for index, each in enumerate(chunk.records)
        if index not in chunk.left_out and index not in others
    ]
    if not records:
        return
    found = await schemas.schemas_for(records)
    frame = decode(records, found.schemas).frame
    kept = frame if selection.select is None else frame.filter(selection.select(frame).fill_null(value=False))
    letters.events += kept.height
    if frame.height > kept.height:
        letters.skipped[FILTERED] += frame.height - kept.height
    letters.by_organization.update(_by_organization(kept))


def _by_organization(frame: pl.DataFrame) -> Mapping[str, int]:
    return dict(frame["organization"].value_counts().iter_rows())
