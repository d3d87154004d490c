"""What aiokafka 0.14 gets silently wrong, mended on each client we make."""

import asyncio
import traceback
from typing import Any

from aiokafka.conn import AIOKafkaConnection

METADATA_PAUSE_SECONDS = 0.25


def patch_client(client: Any) -> None:
    """Apply what every client needs."""
    throttle_metadata_updates(client)
    close_abandoned_bootstrap(client)


def throttle_metadata_updates(client: Any) -> None:
    """A client that saw a partition without leader asks for metadata in a tight loop; make it pause."""
    update = client._metadata_update  # noqa: SLF001

    async def calm(*args: Any) -> bool:
        updated: bool = await update(*args)
        if not updated:
            await asyncio.sleep(METADATA_PAUSE_SECONDS)
        return updated

    client._metadata_update = calm  # noqa: SLF001


def close_abandoned_bootstrap(client: Any) -> None:
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


def consume_exception(ended: "asyncio.Future[Any]") -> None:
    """As a callback: the error of what was given up is no news."""
    if not ended.cancelled():
        ended.exception()


async def wait_bounded(task: "asyncio.Future[Any]", seconds: float) -> bool:
    """Wait for a clean-up; its own failure or cancellation is not ours."""
    done, _ = await asyncio.wait({task}, timeout=seconds)
    if not done:
        task.cancel()
        await asyncio.wait({task}, timeout=0.5)
    task.add_done_callback(consume_exception)
    return bool(done)
