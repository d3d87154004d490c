"""One event by its EventUid or by its place, with what became of it at each destination."""

from collections.abc import AsyncIterator, Mapping

from consumer.destinations.contract import DestinationConfig
from management.change_history import ChangeHistory
from management.destinations import view_unlisted
from management.events.delivery import DeliveryTiming, read_deliveries, read_moves
from management.events.delivery_words import DeliveryFinding
from management.events.query import EventQuery
from management.events.search import SearchResult, SearchTiming, search_events
from management.events.stored_event import NoEventError, StoredEvent
from management.organizations.validation import InputError
from management.organizations.view import read_organization_statuses
from management.topic_follower import FollowerTiming
from relay.config.schema_registry import SchemaRegistryConfig
from relay.errors import RelayError
from relay.kafka.connection import Connection
from relay.timestamps import now_ms

_TIMING = SearchTiming(seconds=30.0)
_DELIVERY = DeliveryTiming(30.0, 30.0)
_HISTORY = FollowerTiming(read_seconds=60.0)


async def search_on(
    connection: Connection, registry: SchemaRegistryConfig, query: EventQuery
) -> AsyncIterator[SearchResult]:
    """Yield the results of the whole range, the newest events first, each after 30 seconds at most. Raises RelayError."""
    place = ""
    while True:
        result = await search_events(connection, registry, query, place, timing=_TIMING)
        yield result
        if result.finished:
            return
        place = result.place


async def find_event(
    connection: Connection, registry: SchemaRegistryConfig, query: EventQuery, uid: str
) -> StoredEvent:
    """Return the newest event with this EventUid; one that is there for a replay alone only if there is no other.

    `query`: its organization and id, and perhaps a time. Raises NoEventError if everything was read, or RelayError.
    """
    if not query.organization or query.id is None:
        raise InputError(
            "Name the event as ORGANIZATION/ID, such as acme.atlassian.net/10017, as rows have it."
        )
    of_replay: StoredEvent | None = None
    undecodable = 0
    problems: list[str] = []
    async for result in search_on(connection, registry, query):
        named = [each for each in result.events if each.uid == uid]
        for found in named:
            if found.replay is None:
                return found
        of_replay = of_replay or next(iter(named), None)
        undecodable += result.undecodable
        problems += result.problems
    if of_replay is not None:
        return of_replay
    if undecodable:
        problems.insert(0, f"{undecodable:,} records that may be the event could not be decoded.")
    if problems:
        raise RelayError(
            f"The event {uid} was not found, but not everything could be read. {' '.join(problems[:3])}"
        )
    raise NoEventError(
        f"Kafka has no event {uid}. Kafka keeps events for a time, and a destination may still have it; or it was not published:"
        f" `jira-relay organizations show {query.organization}` says up to when the events are complete."
    )


async def read_event_deliveries(
    connection: Connection, destinations: Mapping[str, DestinationConfig], found: StoredEvent
) -> list[DeliveryFinding]:
    """Return what became of an event at each destination that the settings or a running consumer know. Raises RelayError."""
    changes = await read_moves(ChangeHistory(connection, now_ms, _HISTORY))
    statuses = await read_organization_statuses(connection)
    others = [view.name for view in view_unlisted(destinations, statuses, now_ms())]
    return await read_deliveries(connection, destinations, others, found, changes, _DELIVERY)
