"""The archive of a planned replay: what it has of the window, beside Kafka."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

from consumer.destinations.contract import DestinationConfig
from consumer.replay.archive_objects import ArchiveError
from consumer.replay.archive_opening import delivered_by, open_archive, require_archive
from consumer.replay.archive_plan import ArchivePlan
from consumer.replay.archive_reader import ObjectArchive
from management.organizations.validation import InputError
from relay.kafka import TopicPartition
from relay.kafka.connection import Connection
from relay.kafka.log_reader import LogBounds
from relay.timestamps import DAY_MS

_LAST_DAY = 10**7
"""After the year 9999."""

Destinations = Mapping[str, DestinationConfig]


@dataclass(frozen=True, slots=True)
class Window:
    """Where the ranges of a replay begin and end, of each partition."""

    starts: Mapping[TopicPartition, int]
    ends: Mapping[TopicPartition, int]


def conditions(destination: DestinationConfig, where: str | None) -> list[str]:
    """Return the conditions that every event of a replay meets."""
    return [each for each in (where, destination.where) if each is not None]


def fit_archives(destinations: Destinations, wanted: Sequence[str]) -> list[str]:
    """Return the names of the destinations that have every event which meets the conditions `wanted`, sorted."""
    return sorted(name for name, config in destinations.items() if _unfitness(name, config, wanted) is None)


def check_archive(name: str, destinations: Destinations, wanted: Sequence[str]) -> None:
    """Raise InputError unless the destination `name` has every event which meets the conditions `wanted`."""
    config = destinations.get(name)
    reason = (
        f"The settings have no destination {name}." if config is None else _unfitness(name, config, wanted)
    )
    if reason is not None:
        known = ", ".join(fit_archives(destinations, wanted)) or "none"
        raise InputError(f"{reason} Destinations that can be the archive of this replay: {known}.")


def _unfitness(name: str, config: DestinationConfig, wanted: Sequence[str]) -> str | None:
    try:
        require_archive(name, config, wanted)
    except ArchiveError as error:
        return str(error)
    return None


@asynccontextmanager
async def opened_archive(
    connection: Connection,
    destinations: Destinations,
    name: str,
    wanted: Sequence[str],
    by: str,
    from_ms: int | None,
    to_ms: int | None,
) -> AsyncIterator[ObjectArchive]:
    """Open the archive `name`; no request is made. The window bounds the days whose objects are listed. Raises RelayError."""
    first = 0 if from_ms is None else from_ms // DAY_MS - (by == "created")
    stop = _LAST_DAY if to_ms is None or by == "created" else to_ms // DAY_MS + 1
    delivered = delivered_by(connection, name)
    async with open_archive(
        name, destinations[name], delivered, conditions=wanted, days=(first, stop)
    ) as archive:
        yield archive


async def extended(
    window: Window,
    bounds: Mapping[TopicPartition, LogBounds],
    plan: ArchivePlan,
    from_ms: int | None,
    to_ms: int | None,
) -> Window:
    """Return the window with what the archive has before the log starts. `to_ms` None: the window ends with the log.

    Offsets from the log start on are read from Kafka, so the two meet there without a gap or a repeat.
    """
    starts, ends = dict(window.starts), dict(window.ends)
    for tp, extent in bounds.items():
        if not extent.log_start_offset:
            continue
        start = await _first_offset(plan, tp, from_ms)
        if start is not None and start < extent.log_start_offset:
            starts[tp] = min(starts[tp], start)
        end = None if to_ms is None else await plan.offset_at(tp, to_ms)
        if end is not None and end < extent.log_start_offset:
            ends[tp] = min(ends[tp], end)
    return replace(window, starts=starts, ends=ends)


async def _first_offset(plan: ArchivePlan, tp: TopicPartition, from_ms: int | None) -> int | None:
    if from_ms is not None:
        return await plan.offset_at(tp, from_ms)
    spans = await plan.spans([tp])
    return spans[tp].first if tp in spans else None


async def begins_with(
    plan: ArchivePlan, begins: Mapping[TopicPartition, int | None], from_ms: int | None
) -> dict[TopicPartition, int | None]:
    """Return when the first event of Kafka and the archive was collected (ms UTC), where that is after `from_ms`."""
    spans = await plan.spans(begins)
    both = {tp: spans[tp].first_collected_ms if tp in spans else at for tp, at in begins.items()}
    return {tp: at for tp, at in both.items() if at is None or from_ms is None or at > from_ms}
