"""What became of one event at each destination."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import polars as pl
from polars.exceptions import PanicException

from consumer.decoding.columns import decode
from consumer.decoding.event_rules import compile_rules
from consumer.destinations.contract import DestinationConfig
from consumer.group_names import PipelineFlow, group_name
from consumer.offsets.delivered import DeliveryProgress
from management.bounded_read import read_bounded
from management.change_history import ChangeEntry, ChangeHistory, ChangeQuery
from management.events.delivery_words import DeliveryFacts, DeliveryFinding, judge, skipped_by
from management.events.stored_event import StoredEvent
from management.organizations.store import kafka_errors_as_relay_errors
from relay.dead_letters.closings import LetterState
from relay.dead_letters.letter import DeadLetter
from relay.dead_letters.log import open_letter_log
from relay.errors import SettingsError
from relay.kafka import TopicPartition
from relay.kafka.connection import Connection
from relay.kafka.group_offsets import open_group
from relay.kafka.log_reader import records_at

CONCURRENT_GROUPS = 4
_DEFECTS = (Exception, PanicException)


@dataclass(frozen=True, slots=True)
class DeliveryTiming:
    """Bounds of one look, in seconds: at each group, and at all dead letters of the organization."""

    group_seconds: float = 6.0
    letters_seconds: float = 6.0


async def read_moves(history: ChangeHistory) -> Sequence[ChangeEntry] | str:
    """Return the changes of destinations, newest first; a text: why the history cannot be read now."""
    state = await history.refresh()
    if state.failure is not None:
        return state.failure
    return list(history.select(ChangeQuery(subject="destination")))


async def read_deliveries(
    connection: Connection,
    destinations: Mapping[str, DestinationConfig],
    others: Iterable[str],
    found: StoredEvent,
    changes: Sequence[ChangeEntry] | str,
    timing: DeliveryTiming | None = None,
) -> list[DeliveryFinding]:
    """Return what became of an event at each destination, sorted by name. `others`: destinations that only consumers know.

    A destination of which nothing can be read is `not known`, with the reason. `changes`: as `read_moves` returns them.
    """
    timing = timing or DeliveryTiming()
    names = sorted({*destinations, *others})
    slots = asyncio.Semaphore(CONCURRENT_GROUPS)

    async def progress_of(name: str) -> tuple[PipelineFlow, DeliveryProgress | None] | str:
        async with slots:
            return await read_bounded(_progress(connection, name, found), timing.group_seconds)

    letters, left_out, progresses = await asyncio.gather(
        read_bounded(_letters(connection, found), timing.letters_seconds),
        read_bounded(_left_out(connection, destinations, found), timing.group_seconds),
        asyncio.gather(*map(progress_of, names)),
    )
    deliveries = []
    for name, progress in zip(names, progresses, strict=True):
        facts = DeliveryFacts(
            name,
            found.address,
            progress,
            letters if isinstance(letters, str) else letters.get(name, ()),
            left_out if isinstance(left_out, str) else left_out.get(name),
            changes if isinstance(changes, str) else skipped_by(changes, name, progress, found.address),
            found.replay,
        )
        deliveries.append(judge(facts))
    return deliveries


async def _progress(
    connection: Connection, name: str, found: StoredEvent
) -> tuple[PipelineFlow, DeliveryProgress | None]:
    """Return the flow that the event belongs to, and how far its group has delivered. None: it has committed nothing there."""
    flow: PipelineFlow = "live" if found.address.topic == "events" else "history"
    progress = await _committed(connection, name, flow, found)
    if progress is not None and progress.live_from is not None and found.address.offset < progress.live_from:
        return "older", await _committed(connection, name, "older", found)
    return flow, progress


async def _committed(
    connection: Connection, name: str, flow: PipelineFlow, found: StoredEvent
) -> DeliveryProgress | None:
    group = group_name(connection.kafka.topic_prefix, name, flow)
    with kafka_errors_as_relay_errors(connection):
        async with open_group(connection, group, found.full_topic) as opened:
            committed = (await opened.read()).committed.get(
                TopicPartition(found.full_topic, found.address.partition)
            )
    if committed is None:
        return None
    return DeliveryProgress.from_offset_and_metadata(committed.offset, committed.metadata)


async def _letters(
    connection: Connection, found: StoredEvent
) -> Mapping[str, Sequence[tuple[DeadLetter, LetterState]]]:
    """Return the dead letters of the event by destination, oldest first."""
    original = (found.full_topic, found.address.partition, found.address.offset)
    letters: dict[str, list[tuple[DeadLetter, LetterState]]] = {}
    with kafka_errors_as_relay_errors(connection):
        async with open_letter_log(connection, found.organization, lambda _: None) as log:
            async for whole, state in log.letters():
                if whole.letter.original == original and whole.letter.destination is not None:
                    letters.setdefault(whole.letter.destination, []).append((whole.letter, state))
    return letters


async def _left_out(
    connection: Connection, destinations: Mapping[str, DestinationConfig], found: StoredEvent
) -> Mapping[str, bool | None]:
    """Return whether the filter of each destination leaves the event out, as the settings are now. None: that is not known."""
    tp = TopicPartition(found.full_topic, found.address.partition)
    with kafka_errors_as_relay_errors(connection):
        record = (await records_at(connection, {tp: found.address.offset})).get(tp)
    frame = None if record is None else decode([record], {}).frame
    return {
        name: _is_left_out(name, config, frame)
        for name, config in destinations.items()
        if config.where is not None
    }


def _is_left_out(name: str, config: DestinationConfig, frame: pl.DataFrame | None) -> bool | None:
    if frame is None or not frame.height:
        return None
    try:
        select = compile_rules(name, config).select
        return None if select is None else not bool(select(frame).fill_null(value=False)[0])
    except SettingsError:
        return None
    except _DEFECTS:  # the condition is an operator's, and may make polars fail
        return None
