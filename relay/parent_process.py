"""The parent of a child process (`relay.child_process`): its questions, and its end."""

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator

import structlog
from prometheus_client import CollectorRegistry

from relay.aio import cancel_all
from relay.telemetry.health import Health
from relay.telemetry.logs import current_log_level, set_log_level
from relay.telemetry.merged_metrics import to_document

log = structlog.get_logger(__name__)


@contextlib.asynccontextmanager
async def follow_parent(
    link: socket.socket, stop: asyncio.Event, health: Health, registry: CollectorRegistry
) -> AsyncIterator[None]:
    """Answer the parent while the block runs, and set `stop` when the parent asks for it or ends.

    The link stays open until the end of the block: its end tells the parent that this process has ended.
    """
    reader, writer = await asyncio.open_connection(sock=link)
    answering = asyncio.create_task(
        _answer(reader, writer, stop, health, registry), name="answers to the parent"
    )
    try:
        yield
        if answering.done():
            answering.result()  # a defect must not look like a stop
    finally:
        await cancel_all({answering})
        writer.close()


async def _answer(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    stop: asyncio.Event,
    health: Health,
    registry: CollectorRegistry,
) -> None:
    try:
        with contextlib.suppress(ConnectionError):
            while line := await reader.readline():
                question = json.loads(line)
                if question["log_level"] != current_log_level():
                    set_log_level(question["log_level"])
                answer = {"number": question["number"], "problems": health.problems()}
                if question["metrics"]:
                    answer["metrics"] = await asyncio.to_thread(lambda: to_document(registry.collect()))
                writer.write(json.dumps(answer).encode() + b"\n")
                await writer.drain()
        log.info("Stop requested by the parent process, or by its end.")
    finally:
        stop.set()
