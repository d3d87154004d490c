"""A simulated receiver with the destination that sends to it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from consumer.decoding.columns import decode
from consumer.destinations.contract import Body, Destination
from consumer.destinations.http.config import HttpConfig
from consumer.destinations.http.destination import open_http
from simulators.http.receiver import HttpReceiver
from tests.support.messages import WRITER_SCHEMAS, event, message

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OTHER_SECRET = "whsec_dGhpcyBpcyBhbm90aGVyIHNlY3JldCBvZiB0aGlydHkh"


@asynccontextmanager
async def live_flow(
    receiver: HttpReceiver, timeout_seconds: float = 60.0, **settings: Any
) -> AsyncIterator[Destination]:
    """Yield the live stream to `receiver`, with these settings beside kind and URL."""
    config = HttpConfig(**({"kind": "http", "url": receiver.url("live")} | settings))
    async with open_http("soc", config, timeout_seconds) as streams:
        yield streams["live"]


def body_of(destination: Destination, *events: dict[str, Any]) -> Body:
    """Return one body of these events; without any, of one plain event."""
    frame = decode([message(each) for each in events or (event(1),)], dict(WRITER_SCHEMAS.items())).frame
    rows = destination.encode(frame)
    return Body(destination.body(rows), len(rows), destination.limits.format.size(rows), ())
