"""The lost ranges of destinations, as an operator lists and dismisses them."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from consumer.destinations.contract import DestinationConfig
from consumer.losses.lost_range import LostRange, remedy
from consumer.losses.store import LossStore
from consumer.replay.archive_opening import archives_for
from management.destinations import require_known
from management.formatting import iso_milliseconds, iso_seconds
from management.organizations.store import kafka_errors_as_relay_errors
from management.organizations.validation import InputError
from relay.destination_changes import Change, record_change
from relay.kafka.connection import Connection
from relay.kafka.producer import RecordWriter, TopicWriteError
from relay.kafka.topics import Topics


@dataclass(frozen=True, slots=True)
class LostRanges:
    """The lost ranges of a destination, oldest first, each with what brings its events back; and those that cannot be read."""

    ranges: Sequence[LostRange]
    remedies: Sequence[str]
    unreadable: Sequence[str]
    archives: Sequence[str]
    """Destinations whose objects may have the events."""


async def read_lost_ranges(
    connection: Connection, destinations: Mapping[str, DestinationConfig], name: str, now_ms: int
) -> LostRanges:
    """Return the lost ranges of a destination. Raises InputError for an unknown name, or RelayError."""
    require_known(destinations, name)
    topic = Topics(connection.kafka.topic_prefix).destinations
    async with RecordWriter(connection) as writer:
        with kafka_errors_as_relay_errors(connection):
            await connection.verify()
            stored = await LossStore(connection, topic, writer).read(name)
    ranges = sorted(stored.ranges.values(), key=lambda each: (each.at, each.name))
    archives = archives_for(destinations, name)
    return LostRanges(
        ranges, [remedy(each, archives, now_ms) for each in ranges], stored.unreadable, archives
    )


def find_lost_range(ranges: Sequence[LostRange], destination: str, entry: str) -> LostRange:
    """Return the lost range of this short name, such as `events/3/1200`. Raises InputError."""
    for each in ranges:
        if each.name == entry:
            return each
    known = ", ".join(each.name for each in ranges) or "none"
    raise InputError(f"{destination} has no lost range {entry}; it has: {known}.")


async def dismiss(
    connection: Connection,
    destinations: Mapping[str, DestinationConfig],
    name: str,
    entry: str,
    author: str,
    now_ms: int,
) -> tuple[LostRange, str | None]:
    """Delete a lost range from the list. Return it, and what failed after that; None: nothing.

    Raises InputError for an unknown destination or range, or RelayError.
    """
    found = find_lost_range(
        (await read_lost_ranges(connection, destinations, name, now_ms)).ranges, name, entry
    )
    topic = Topics(connection.kafka.topic_prefix).destinations
    async with RecordWriter(connection) as writer:
        with kafka_errors_as_relay_errors(connection):
            await LossStore(connection, topic, writer).delete(found)
    try:
        await record_change(connection, Change(name, author, now_ms, "loss dismissed", before=asdict(found)))
    except TopicWriteError as error:
        return found, f"{entry} is dismissed, but the history of changes does not show it: {error}"
    return found, None


def lost_range_text(lost: LostRange) -> str:
    """Return which events a range has, and when the loss was noticed."""
    since = "" if lost.collected_from is None else f"since {iso_seconds(lost.collected_from)} and "
    return (
        f"{lost.name}: {lost.lost:,} offsets of {lost.topic}, partition {lost.partition}, from {lost.start} to {lost.stop - 1},"
        f" collected {since}before {iso_seconds(lost.collected_before)}; noticed at {iso_seconds(lost.at)}."
    )


def lost_range_document(each: LostRange, remedy: str) -> dict[str, Any]:
    """Return a lost range with what brings it back."""
    times = {
        name: iso_milliseconds(getattr(each, name)) for name in ("collected_from", "collected_until", "at")
    }
    return {"entry": each.name, **asdict(each), **times, "remedy": remedy}
