"""Sentences on a planned replay that an operator reads before it begins. Pure."""

from collections.abc import Mapping, Sequence

from management.destination_view import DestinationView
from management.formatting import iso_seconds
from management.replay.request import ReplayRequest
from relay.kafka import TopicPartition

_MAX_BEGINS = 8


def notes_on(request: ReplayRequest, view: DestinationView, others: Sequence[str], now_ms: int) -> list[str]:
    """Return what an operator should know of the destination and the window. `others`: ids of its replays that have not ended."""
    notes = []
    if request.to_ms is not None and request.to_ms > now_ms:
        notes.append(
            "The window ends in the future; the replay has the events that are in Kafka now, and no later ones."
        )
    if view.state == "paused":
        notes.append(
            f"{request.destination} is {view.reason}. The replay waits until `jira-relay destinations resume {request.destination}`."
        )
    elif view.state == "no consumer":
        notes.append(
            f"No consumer of {request.destination} runs now ({view.reason}). The replay waits until one does: `jira-relay consume`."
        )
    if others:
        notes.append(
            f"{request.destination} has {len(others)} other {'replay' if len(others) == 1 else 'replays'} that did not end: {', '.join(others)}."
            " They share its rate limit."
        )
    return notes


def deleted_note(
    begins: Mapping[TopicPartition, int | None], request: ReplayRequest, archives: Sequence[str]
) -> str | None:
    """Return what Kafka may have deleted of the window, and what to do; None: nothing. `archives`: names of object stores."""
    if not begins:
        return None
    dated = [f"{_partition(tp)} begins at {iso_seconds(at)}" for tp, at in begins.items() if at is not None]
    empty = [f"{_partition(tp)} is empty" for tp, at in begins.items() if at is None]
    shown = [*dated, *empty]
    more = f", and so on in {len(shown) - _MAX_BEGINS} more partitions" if len(shown) > _MAX_BEGINS else ""
    facts = f"{', '.join(shown[:_MAX_BEGINS])}{more}."
    if request.archive is not None:
        return f"Neither Kafka nor the archive {request.archive} has older events: {facts} Those of the window before are not replayed."
    facts = f"Kafka has deleted older events: {facts}"
    remedy = (
        f"--archive {archives[0]} adds them from its objects"
        if archives
        else "the settings have no object store, which could provide them with --archive"
    )
    return f"{facts} Those of the window are not replayed; {remedy}."


def _partition(tp: TopicPartition) -> str:
    return f"{tp.topic}/{tp.partition}"
