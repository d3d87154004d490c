"""Count the events of a replay before it begins, by the reader and the selection of the replay itself."""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

import polars as pl
from polars.exceptions import PanicException

from consumer.decoding.columns import decode, schema_references
from consumer.decoding.event_rules import compile_rules
from consumer.decoding.row_encoding import RowEncoder
from consumer.destinations.catalogue import DESTINATIONS
from consumer.destinations.contract import DestinationConfig, Kinds
from consumer.formats.replay_mark import mark_replayed
from consumer.replay.range_reader import RangeReader
from consumer.replay.selection import Selection, compile_selection
from consumer.replay.source import ArchiveReader, Chunk
from management.organizations.store import kafka_errors_as_relay_errors
from management.replay.archive import conditions, opened_archive
from relay.avro.codec import SchemaRef
from relay.config.schema_registry import SchemaRegistryConfig
from relay.errors import RelayError, describe, one_line
from relay.kafka import Record
from relay.kafka.connection import Connection
from relay.replays.job import ReplayJob
from relay.schema_registry.store import SchemaStore, open_schema_store
from relay.timestamps import DAY_MS, day_of, is_instant
from schemas import Schema

SAMPLE_ROWS = 3
MAX_ROW_CHARS = 4_000

_DEFECTS = (Exception, PanicException)
"""A panic of polars is no Exception."""


@dataclass(slots=True)
class DryRun:
    """What a replay would do. `by_day`: of the time that its window bounds, in UTC, as days since 1970."""

    events: int = 0
    skipped: int = 0
    undecodable: int = 0
    """Records that would become dead letters."""
    lost: int = 0
    """Offsets that neither Kafka nor the archive has any more."""
    by_organization: Counter[str] = field(default_factory=Counter)
    by_day: Counter[int] = field(default_factory=Counter)
    rows: list[str] = field(default_factory=list)
    """The first rows as they would be sent."""
    rows_problem: str | None = None
    """Why no row is shown; None: rows are shown, or there is no event."""

    def days(self) -> Mapping[str, int]:
        """Return the counts by UTC day, in order."""
        return {day_text(day): self.by_day[day] for day in sorted(self.by_day)}


def day_text(day: int) -> str:
    """Return a day such as `2026-11-23`; outside the years 1 to 9999, its number."""
    return day_of(day * DAY_MS) if is_instant(day * DAY_MS) else f"day {day} after 1970-01-01"


async def dry_run(
    connection: Connection,
    registry: SchemaRegistryConfig,
    destinations: Mapping[str, DestinationConfig],
    job: ReplayJob,
    on_progress: Callable[[float, int], None],
    *,
    kinds: Kinds = DESTINATIONS,
) -> DryRun:
    """Read the ranges of a job and count its events. Sends nothing, and holds one chunk in memory.

    `on_progress` gets the share of the ranges that was read, and the events so far. Raises RelayError.
    """
    counts, config = DryRun(), destinations[job.destination]
    selection = compile_selection(job, job.destination, config)
    total, read = max(1, sum(each.end - each.start for each in job.ranges)), 0
    positions = {each.tp: each.start for each in job.ranges}
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(open_schema_store(registry, connection))
        encode_rows = await _row_encoder(stack, connection, config, job, kinds, counts)
        archive = await _archive(stack, connection, destinations, job)
        with kafka_errors_as_relay_errors(connection):
            async for chunk in RangeReader(connection, job.ranges, archive).chunks({}):
                await _count_chunk(chunk, selection, job, store, counts, encode_rows)
                read += chunk.next_offset - positions[chunk.partition]
                positions[chunk.partition] = chunk.next_offset
                on_progress(read / total, counts.events)
    return counts


async def _archive(
    stack: AsyncExitStack,
    connection: Connection,
    destinations: Mapping[str, DestinationConfig],
    job: ReplayJob,
) -> ArchiveReader | None:
    if job.archive is None:
        return None
    wanted = conditions(destinations[job.destination], job.where)
    return await stack.enter_async_context(
        opened_archive(connection, destinations, job.archive, wanted, job.by, job.from_ms, job.to_ms)
    )


async def _count_chunk(
    chunk: Chunk,
    selection: Selection,
    job: ReplayJob,
    store: SchemaStore,
    counts: DryRun,
    encode_rows: RowEncoder | None,
) -> None:
    counts.lost += sum(stop - start for start, stop in chunk.lost)
    left_out = selection.left_out(chunk.records) | set(chunk.left_out)
    records = [record for index, record in enumerate(chunk.records) if index not in left_out]
    counts.skipped += len(left_out)
    if not records:
        return
    schemas = await _schemas(records, store)
    decoded = await asyncio.to_thread(decode, records, schemas)
    counts.undecodable += len(decoded.undecodable)
    frame = await asyncio.to_thread(_selected, decoded.frame, selection)
    counts.skipped += decoded.frame.height - frame.height
    _count(frame, job.by, counts)
    wanted = SAMPLE_ROWS - len(counts.rows)
    if wanted and frame.height and encode_rows is not None and counts.rows_problem is None:
        await asyncio.to_thread(_show_rows, frame.head(wanted), job, encode_rows, counts)


async def _schemas(records: list[Record], store: SchemaStore) -> Mapping[SchemaRef, Schema]:
    answers = {ref: await store.resolve(ref) for ref in schema_references(records)}
    return {ref: answer for ref, answer in answers.items() if isinstance(answer, dict)}


def _selected(frame: pl.DataFrame, selection: Selection) -> pl.DataFrame:
    if selection.select is None:
        return frame
    try:
        return frame.filter(selection.select(frame).fill_null(value=False))
    except _DEFECTS as error:
        raise RelayError(
            f"The condition fails on an event of the window: {one_line(describe(error))}. A replay with it would fail too; change it."
        ) from error


def _count(frame: pl.DataFrame, by: str, counts: DryRun) -> None:
    counts.events += frame.height
    organizations = frame["organization"].value_counts()
    counts.by_organization.update(dict(organizations.iter_rows()))
    days = frame.select(pl.col(by).cast(pl.Int64).floordiv(DAY_MS).alias("day"))["day"].value_counts()
    counts.by_day.update(dict(days.iter_rows()))


async def _row_encoder(
    stack: AsyncExitStack,
    connection: Connection,
    config: DestinationConfig,
    job: ReplayJob,
    kinds: Kinds,
    counts: DryRun,
) -> RowEncoder | None:
    """Return what makes the rows that the destination would get, behind its privacy rules. None: it cannot be opened here."""
    try:
        flows = await stack.enter_async_context(
            kinds[config.kind].open_beside(job.destination, config, connection.kafka)
        )
    except RelayError as error:
        counts.rows_problem = f"Rows cannot be shown here: {error}"
        return None
    destination = flows["live" if job.to_live else "history"]
    return compile_rules(job.destination, config).encoder(destination.encode)


def _show_rows(frame: pl.DataFrame, job: ReplayJob, encode_rows: RowEncoder, counts: DryRun) -> None:
    try:
        rows = encode_rows(mark_replayed(frame, job.id, keep_mode=job.to_live))
    except _DEFECTS as error:
        counts.rows_problem = f"An event does not become a row: {one_line(describe(error))}."
    else:
        counts.rows += [_row_text(row) for row in rows]


def _row_text(row: bytes) -> str:
    """Return a row as text; one that is no text in hexadecimal."""
    try:
        text = row.decode()
    except UnicodeDecodeError:
        text = row.hex(" ")
    return text if len(text) <= MAX_ROW_CHARS else f"{text[:MAX_ROW_CHARS]}… ({len(text):,} characters)"
