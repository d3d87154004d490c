"""Patches of every client, and bounded waits for a client's clean-up."""

import asyncio
import traceback
from typing import Any

from aiokafka.conn import AIOKafkaConnection

METADATA_PAUSE_SECONDS = 0.25


def patch_client(client: Any) -> None:
    """Apply the patches that every client needs."""
    throttle_metadata_updates(client)
    close_abandoned_bootstrap(client)


def throttle_metadata_updates(client: Any) -> None:
    """Pause after a failed metadata update. A client that saw a partition without leader would ask in a tight loop."""
    update = client._metadata_update  # noqa: SLF001

    async def calm(*args: Any) -> bool:
        updated: bool = await update(*args)
        if not updated:
            await asyncio.sleep(METADATA_PAUSE_SECONDS)
        return updated

    client._metadata_update = calm  # noqa: SLF001


def close_abandoned_bootstrap(client: Any) -> None:
    """Close the connection of a cancelled start, which the client forgets while it waits for its first answer."""
    bootstrap = client.bootstrap

    async def guarded() -> None:
        try:
            await bootstrap()
        except asyncio.CancelledError as error:
            for frame, _ in traceback.walk_tb(error.__traceback__):  # no attribute holds the connection
                if isinstance(left := frame.f_locals.get("bootstrap_conn"), AIOKafkaConnection):
                    left.close()
            raise

    client.bootstrap = guarded


def consume_exception(ended: "asyncio.Future[Any]") -> None:
    """Retrieve the error of an abandoned future, so that asyncio does not log it. For add_done_callback."""
    if not ended.cancelled():
        ended.exception()


async def wait_bounded(task: "asyncio.Future[Any]", seconds: float) -> bool:
    """Wait for a clean-up, and return whether it ended within `seconds`. Its own error or cancellation is ignored."""
    done, _ = await asyncio.wait({task}, timeout=seconds)
    if not done:
        task.cancel()
        await asyncio.wait({task}, timeout=0.5)
    task.add_done_callback(consume_exception)
    return bool(done)
