"""The destinations as an operator sees them: state, target and pause, and how they are changed."""

from collections.abc import Mapping
from dataclasses import dataclass

from consumer.destinations.catalogue import DESTINATIONS
from consumer.destinations.contract import DestinationConfig, Flow, Kinds
from consumer.losses.store import LossStore
from consumer.offsets.backup import destination_status_key
from consumer.targets.store import ClaimStore, ClaimUnknownError, UnreadablePauseError
from consumer.targets.target import Claim, Claims, Pause, Target, target_of
from management.delivery_reports import summarize_deliveries
from management.destination_day import processes_by_destination
from management.destination_view import UNLISTED, DestinationView
from management.organizations.store import kafka_errors_as_relay_errors
from management.organizations.validation import InputError
from relay.destination_changes import Change, record_change
from relay.kafka.connection import Connection
from relay.kafka.producer import RecordWriter, TopicWriteError
from relay.kafka.topics import Topics
from relay.status.model import Status
from relay.status.reader import read_statuses
from relay.timestamps import now_ms

_STATUS_PREFIX = destination_status_key("")


@dataclass(frozen=True, slots=True)
class PauseResult:
    """Whether a pause or its end was written. `failure`: what failed after that; None: nothing."""

    changed: bool
    failure: str | None = None


@dataclass(frozen=True, slots=True)
class Confirmation:
    """The target that a flow belongs to now, and the one before; None: it had none, or that cannot be read."""

    target: Target
    before: Target | None


class UnknownDestinationError(InputError):
    """The settings have no destination of this name."""


def require_known(destinations: Mapping[str, DestinationConfig], name: str) -> None:
    """Raise UnknownDestinationError if the settings have no destination of this name."""
    if name not in destinations:
        known = ", ".join(sorted(destinations)) or "none"
        raise UnknownDestinationError(f"The settings have no destination {name}; they have: {known}.")


async def confirm_target(
    connection: Connection,
    destinations: Mapping[str, DestinationConfig],
    name: str,
    kinds: Kinds = DESTINATIONS,
) -> dict[Flow, Confirmation]:
    """Make each flow of the destination belong to the target of these settings.

    A flow that belongs to it already is left as it is, so its consumers go on. Raises InputError for an unknown name, or RelayError.
    """
    require_known(destinations, name)
    config = destinations[name]
    store = ClaimStore(connection, Topics(connection.kafka.topic_prefix).destinations)
    with kafka_errors_as_relay_errors(connection):
        return {
            flow: await _confirm(store, name, flow, target_of(config.kind, identity))
            for flow, identity in kinds[config.kind].identity(config).items()
        }


async def read_destinations(
    connection: Connection, destinations: Mapping[str, DestinationConfig], now_ms: int
) -> list[DestinationView]:
    """Return the destinations of the settings by name. Raises RelayError."""
    topics = Topics(connection.kafka.topic_prefix)
    store = ClaimStore(connection, topics.destinations)
    with kafka_errors_as_relay_errors(connection):
        await connection.verify()
        statuses = await read_statuses(connection, topics.status)
        pauses = await store.read_pauses(destinations)
        async with RecordWriter(connection) as writer:
            lost = await LossStore(connection, topics.destinations, writer).read_each(destinations)
    counts = {name: len(each.ranges) + len(each.unreadable) for name, each in lost.items()}
    return view_destinations(destinations, statuses, pauses, counts, now_ms)


def view_destinations(
    destinations: Mapping[str, DestinationConfig],
    statuses: Mapping[str, Status],
    pauses: Mapping[str, Pause],
    lost_ranges: Mapping[str, int],
    now_ms: int,
) -> list[DestinationView]:
    """Return the views by name. `statuses`: by key of the status topic; `lost_ranges`: how many, by name. Pure."""
    deliveries, processes = summarize_deliveries(statuses, now_ms), processes_by_destination(statuses)
    return [
        DestinationView(
            name,
            config.kind,
            statuses.get(destination_status_key(name)),
            pauses.get(name),
            now_ms,
            lost_ranges.get(name, 0),
            deliveries.get(name),
            processes.get(name, ()),
        )
        for name, config in sorted(destinations.items())
    ]


def view_unlisted(
    destinations: Mapping[str, DestinationConfig], statuses: Mapping[str, Status], now_ms: int
) -> list[DestinationView]:
    """Return the destinations that these settings lack and a consumer reports on now: its settings may be others. Pure."""
    names = {
        key.removeprefix(_STATUS_PREFIX): status
        for key, status in statuses.items()
        if key.startswith(_STATUS_PREFIX) and now_ms <= status.valid_until
    }
    if not names:
        return []
    deliveries, processes = summarize_deliveries(statuses, now_ms), processes_by_destination(statuses)
    return [
        DestinationView(
            name,
            UNLISTED,
            status,
            None,
            now_ms,
            delivery=deliveries.get(name),
            processes=processes.get(name, ()),
        )
        for name, status in sorted(names.items())
        if name not in destinations
    ]


async def set_paused(
    connection: Connection,
    destinations: Mapping[str, DestinationConfig],
    name: str,
    author: str,
    now_ms: int,
    *,
    paused: bool,
) -> PauseResult:
    """Pause the destination for all consumers, or let it go on. Write nothing if it is so already.

    Raises InputError for an unknown name, or RelayError.
    """
    require_known(destinations, name)
    topics = Topics(connection.kafka.topic_prefix)
    store = ClaimStore(connection, topics.destinations)
    with kafka_errors_as_relay_errors(connection):
        await connection.verify()
        if await _is_paused(store, name) == paused:
            return PauseResult(changed=False)
        await store.write_state(name, "paused" if paused else "running", Pause(now_ms, author))
        change = Change(name, author, now_ms, "paused" if paused else "resumed")
        return PauseResult(changed=True, failure=await _record(connection, change))


async def _is_paused(store: ClaimStore, name: str) -> bool | None:
    """Return whether an operator has paused the destination; None: the record that says so cannot be read."""
    try:
        return name in await store.read_pauses([name])
    except UnreadablePauseError:
        return None


async def _record(connection: Connection, change: Change) -> str | None:
    """Write the change, which counts already, to the history of changes. Return what failed; None: nothing."""
    try:
        await record_change(connection, change)
    except TopicWriteError as error:
        return f"{change.destination} is {change.what}, but the history of changes does not show it: {error}"
    return None


async def _confirm(store: ClaimStore, name: str, flow: Flow, target: Target) -> Confirmation:
    try:
        claims = await store.read(name, flow)
    except ClaimUnknownError:
        claims = Claims()
    before = claims.current.target if claims.current else None
    if before is None or before.digest != target.digest or claims.may_be_lost:
        await store.write(name, flow, Claim(target, now_ms(), confirmed=True))
    return Confirmation(target, before)
