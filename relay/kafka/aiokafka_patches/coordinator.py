"""Patches of the group coordinator, and facts about a membership."""

import time
from collections.abc import Callable, Iterable
from typing import Any

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError, NotCoordinatorForGroupError, UnknownMemberIdError, for_code

from relay.kafka import OffsetAndMetadata, TopicPartition, partitions_text


class OffsetsUnknownError(KafkaError):  # type: ignore[misc]
    """The coordinator did not return the committed offsets. Ask again."""

    retriable = True


def patch_offset_fetch(coordinator: Any) -> None:
    """Raise when an OffsetFetch fails as a whole. aiokafka would take it for "nothing committed"."""
    send = coordinator._send_req  # noqa: SLF001

    async def patched(request: Any) -> Any:
        response = await send(request)
        if type(request).__name__ == "OffsetFetchRequest":
            try:
                _check_offset_fetch(response, _requested_partitions(request))
            except NotCoordinatorForGroupError:
                coordinator.coordinator_dead()
                raise
        return response

    coordinator._send_req = patched  # noqa: SLF001


def _requested_partitions(request: Any) -> set[tuple[str, int]]:
    topics: Iterable[tuple[str, Iterable[int]]] = request._partitions or ()  # noqa: SLF001
    return {(topic, partition) for topic, partitions in topics for partition in partitions}


def _check_offset_fetch(response: Any, requested: set[tuple[str, int]]) -> None:
    code = getattr(response, "error_code", 0)
    if code:
        error = for_code(code)
        raise error() if error.retriable else OffsetsUnknownError(f"OffsetFetch failed: {error.__name__}")
    answered = {(topic, entry[0]) for topic, entries in response.topics for entry in entries}
    if missing := requested - answered:
        left_out = partitions_text(TopicPartition(*each) for each in missing)
        raise OffsetsUnknownError(f"OffsetFetch left out {left_out}")


def patch_commits(coordinator: Any) -> None:
    """Reject a commit without a membership.

    1. aiokafka lets a former member commit as if it had never joined a group.
    2. A group without members accepts such a commit.
    3. It would move the offset back behind what another member has committed since.
    """
    commit = coordinator._do_commit_offsets  # noqa: SLF001

    async def patched(*args: Any) -> None:
        if coordinator.generation < 0:
            raise UnknownMemberIdError
        await commit(*args)

    coordinator._do_commit_offsets = patched  # noqa: SLF001


def observe_heartbeats(coordinator: Any, on_heartbeat: Callable[[float], None]) -> None:
    """Call `on_heartbeat` after each confirmed heartbeat, with the monotonic time of its request."""
    do_heartbeat = coordinator._do_heartbeat  # noqa: SLF001

    async def watched() -> bool:
        asked_at = time.monotonic()
        confirmed: bool = await do_heartbeat()
        if confirmed:
            on_heartbeat(asked_at)
        return confirmed

    coordinator._do_heartbeat = watched  # noqa: SLF001


def observe_syncs(coordinator: Any, on_sync: Callable[[float], None]) -> None:
    """Call `on_sync` before each request for partitions, with the monotonic time."""
    send = coordinator._send_req  # noqa: SLF001

    async def watched(request: Any) -> Any:
        if type(request).__name__ == "SyncGroupRequest":
            on_sync(time.monotonic())
        return await send(request)

    coordinator._send_req = watched  # noqa: SLF001


def liveness_problem(consumer: AIOKafkaConsumer, renewed_at: float, patience_seconds: float) -> str | None:
    """Return why a group consumer has silently ended, or None. aiokafka does not report it.

    `renewed_at` is the monotonic time of the last confirmation.
    """
    fetcher: Any = consumer._fetcher  # noqa: SLF001
    coordinator: Any = consumer._coordinator  # noqa: SLF001
    rejoining = coordinator._rejoin_needed_fut.done()  # noqa: SLF001
    heartbeat = coordinator._heartbeat_task  # noqa: SLF001
    if fetcher._fetch_task.done():  # noqa: SLF001
        return "its fetcher has ended"
    if coordinator._coordination_task.done():  # noqa: SLF001
        return "its group coordination has ended"
    if consumer.assignment() and (heartbeat is None or heartbeat.done()) and not rejoining:
        return "its heartbeat has ended"
    if time.monotonic() - renewed_at > patience_seconds:
        return f"the group has not confirmed its membership for {patience_seconds:.0f} s"
    return None


def member_id(consumer: AIOKafkaConsumer) -> str:
    """Return the member's id in its group; empty if the group no longer knows it."""
    return str(consumer._coordinator.member_id)  # noqa: SLF001


async def committed_offsets(
    consumer: AIOKafkaConsumer, partitions: list[TopicPartition]
) -> dict[TopicPartition, OffsetAndMetadata]:
    """Return the group's committed offsets with their metadata. A partition without one is left out."""
    committed: dict[TopicPartition, OffsetAndMetadata] = await consumer._coordinator.fetch_committed_offsets(  # noqa: SLF001
        partitions
    )
    return committed


def patch_group_reader(consumer: AIOKafkaConsumer) -> None:
    """Patch a consumer that reads and sets a group's offsets without being a member."""
    patch_offset_fetch(consumer._coordinator)  # noqa: SLF001


def patch_coordinator(
    consumer: AIOKafkaConsumer, on_heartbeat: Callable[[float], None], on_sync: Callable[[float], None]
) -> None:
    """Apply every patch of the coordinator. Both callbacks get the monotonic time of the request.

    `on_heartbeat`: the group confirmed the membership. `on_sync`: the member asks for its partitions.
    """
    coordinator = consumer._coordinator  # noqa: SLF001
    patch_offset_fetch(coordinator)
    patch_commits(coordinator)
    observe_heartbeats(coordinator, on_heartbeat)
    observe_syncs(coordinator, on_sync)
