"""What aiokafka 0.14 gets silently wrong, mended on each client we make."""

import asyncio
import time
import traceback
from collections.abc import Callable, Iterable
from typing import Any

from aiokafka import AIOKafkaConsumer
from aiokafka.conn import AIOKafkaConnection
from aiokafka.errors import KafkaError, NotCoordinatorForGroupError, UnknownMemberIdError, for_code

from relay.kafka import TopicPartition

METADATA_PAUSE_SECONDS = 0.25


class OffsetsUnknownError(KafkaError):  # type: ignore[misc]
    """The coordinator did not say which offsets are committed; asking again helps."""

    retriable = True


def guard_client(client: Any) -> None:
    """What every client needs."""
    calm_metadata(client)
    close_what_bootstrap_leaves(client)


def calm_metadata(client: Any) -> None:
    """A client that saw a partition without leader asks for metadata in a tight loop; make it pause."""
    update = client._metadata_update  # noqa: SLF001

    async def calm(*args: Any) -> bool:
        updated: bool = await update(*args)
        if not updated:
            await asyncio.sleep(METADATA_PAUSE_SECONDS)
        return updated

    client._metadata_update = calm  # noqa: SLF001


def close_what_bootstrap_leaves(client: Any) -> None:
    """A client whose start is cancelled or takes too long forgets the connection on which it waits for its first answer."""
    bootstrap = client.bootstrap

    async def guarded() -> None:
        try:
            await bootstrap()
        except asyncio.CancelledError as error:
            for frame, _ in traceback.walk_tb(error.__traceback__):  # nothing else knows of it
                if isinstance(left := frame.f_locals.get("bootstrap_conn"), AIOKafkaConnection):
                    left.close()
            raise

    client.bootstrap = guarded


def guard_offset_fetch(coordinator: Any) -> None:
    """An OffsetFetch that failed as a whole is taken for "nothing committed"; make it an error that is retried."""
    send = coordinator._send_req  # noqa: SLF001

    async def guarded(request: Any) -> Any:
        response = await send(request)
        if type(request).__name__ == "OffsetFetchRequest":
            try:
                _check_offset_fetch(response, _partitions_asked(request))
            except NotCoordinatorForGroupError:
                coordinator.coordinator_dead()
                raise
        return response

    coordinator._send_req = guarded  # noqa: SLF001


def _partitions_asked(request: Any) -> set[tuple[str, int]]:
    topics: Iterable[tuple[str, Iterable[int]]] = request._partitions or ()  # noqa: SLF001
    return {(topic, partition) for topic, partitions in topics for partition in partitions}


def _check_offset_fetch(response: Any, asked: set[tuple[str, int]]) -> None:
    code = getattr(response, "error_code", 0)
    if code:
        error = for_code(code)
        raise error() if error.retriable else OffsetsUnknownError(f"OffsetFetch failed: {error.__name__}")
    answered = {(topic, entry[0]) for topic, entries in response.topics for entry in entries}
    if missing := asked - answered:
        raise OffsetsUnknownError(f"OffsetFetch left out {sorted(missing)}")


def guard_commits(coordinator: Any) -> None:
    """Who is no member any more commits as if it had never wanted to be one. A group without members takes that, and would be
    set back behind what another member has committed since; make it an error.
    """
    commit = coordinator._do_commit_offsets  # noqa: SLF001

    async def guarded(*args: Any) -> None:
        if coordinator.generation < 0:
            raise UnknownMemberIdError
        await commit(*args)

    coordinator._do_commit_offsets = guarded  # noqa: SLF001


def watch_heartbeats(coordinator: Any, on_confirmed: Callable[[float], None]) -> None:
    """Whenever the coordinator has confirmed that we are a member, call `on_confirmed` with when it was asked (monotonic)."""
    beat = coordinator._do_heartbeat  # noqa: SLF001

    async def watched() -> bool:
        asked_at = time.monotonic()
        confirmed: bool = await beat()
        if confirmed:
            on_confirmed(asked_at)
        return confirmed

    coordinator._do_heartbeat = watched  # noqa: SLF001


def watch_syncs(coordinator: Any, on_asked: Callable[[float], None]) -> None:
    """Whenever we ask the group for our partitions, call `on_asked` with when that is (monotonic)."""
    send = coordinator._send_req  # noqa: SLF001

    async def watched(request: Any) -> Any:
        if type(request).__name__ == "SyncGroupRequest":
            on_asked(time.monotonic())
        return await send(request)

    coordinator._send_req = watched  # noqa: SLF001


def symptom(consumer: AIOKafkaConsumer, confirmed_at: float, patience_seconds: float) -> str | None:
    """What shows that a group consumer has died inside, or None. It never says so itself."""
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
    if time.monotonic() - confirmed_at > patience_seconds:
        return f"the group has not confirmed its membership for {patience_seconds:.0f} s"
    return None


def member_id(consumer: AIOKafkaConsumer) -> str:
    """The id the group knows us by; empty when it no longer does."""
    return str(consumer._coordinator.member_id)  # noqa: SLF001


async def high_watermarks(
    consumer: AIOKafkaConsumer, partitions: list[TopicPartition]
) -> dict[TopicPartition, int]:
    """Ends of partitions as a read_uncommitted reader sees them, from a read_committed consumer that reads nothing."""
    fetcher: Any = consumer._fetcher  # noqa: SLF001
    level = fetcher._isolation_level  # noqa: SLF001
    fetcher._isolation_level = 0  # noqa: SLF001
    try:
        ends: dict[TopicPartition, int] = await consumer.end_offsets(partitions)
    finally:
        fetcher._isolation_level = level  # noqa: SLF001
    return ends


async def discard_consumer(consumer: AIOKafkaConsumer, seconds: float) -> None:
    """Stop a consumer within `seconds`, whatever state it is in.

    With Kafka dead, stop() raises CancelledError or never ends, and leaves the sockets open.
    """
    await _bounded(asyncio.ensure_future(consumer.stop()), seconds)
    for part in (consumer._fetcher, consumer._coordinator):  # noqa: SLF001
        for name in (
            "_fetch_task",
            "_coordination_task",
            "_heartbeat_task",
            "_commit_refresh_task",
            "_reset_committed_task",
        ):
            if isinstance(task := getattr(part, name, None), asyncio.Task):
                task.cancel()
                task.add_done_callback(retrieve)
    await _bounded(asyncio.ensure_future(consumer._client.close()), 1)  # noqa: SLF001


async def discard_producer(producer: Any, seconds: float) -> None:
    """Stop a producer within `seconds` and a few more, giving up whatever it still wanted to send; who waits for it is told."""
    if not await _bounded(asyncio.ensure_future(producer.stop()), seconds):
        sender = producer._sender.sender_task  # noqa: SLF001
        for _ in range(20):
            if sender is None or sender.done():
                break
            sender.cancel()
            await asyncio.wait({sender}, timeout=0.1)
        _fail_all(producer._message_accumulator)  # noqa: SLF001
    await _bounded(asyncio.ensure_future(producer.client.close()), 1)
    _retrieve_failures(producer)


def _fail_all(accumulator: Any) -> None:
    """Tell whoever waits for a batch. One that was put back for another try is no longer where its callback looks for it."""
    accumulator._pending_batches.update(batch for queue in accumulator._batches.values() for batch in queue)  # noqa: SLF001
    accumulator.fail_all(KafkaError("the producer was given up"))


def _retrieve_failures(producer: Any) -> None:
    """Whoever discards a producer knows that it failed: its futures need not say so at their end."""
    accumulator = producer._message_accumulator  # noqa: SLF001
    batches = [batch for queue in accumulator._batches.values() for batch in queue]  # noqa: SLF001
    waiters = [batch._drain_waiter for batch in (*batches, *accumulator._pending_batches)]  # noqa: SLF001
    waiters.append(getattr(producer._txn_manager, "_transaction_waiter", None))  # noqa: SLF001
    for waiter in waiters:
        if waiter is not None and waiter.done() and not waiter.cancelled():
            waiter.exception()


def retrieve(ended: "asyncio.Future[Any]") -> None:
    """As a callback: the error of what was given up is no news."""
    if not ended.cancelled():
        ended.exception()


async def _bounded(task: "asyncio.Future[Any]", seconds: float) -> bool:
    """Wait for a clean-up; its own failure or cancellation is not ours."""
    done, _ = await asyncio.wait({task}, timeout=seconds)
    if not done:
        task.cancel()
        await asyncio.wait({task}, timeout=0.5)
    task.add_done_callback(retrieve)
    return bool(done)
