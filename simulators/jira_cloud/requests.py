from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from aiohttp import web

_IN_FLIGHT_SECONDS = 0.05


@dataclass(slots=True)
class Exchange:
    """What becomes known while a request is answered; `date` is the site's clock in milliseconds."""

    date: int
    user: str | None = None
    records: int | None = None


EXCHANGE = web.RequestKey("exchange", Exchange)


@dataclass(frozen=True, slots=True)
class LoggedRequest:
    """One request: when (monotonic seconds), what, by whom (once authenticated), and what came of it."""

    received_at: float
    ended_at: float
    gateway: bool
    method: str
    path: str
    query: Mapping[str, str]
    user: str | None
    status: int | None
    """None: the connection broke before a status was sent."""
    fault: str | None
    records: int | None
    """How many records the honest answer held."""
    retry_after: float | None
    """Seconds for which the answer asked to be left alone."""


def find_premature_requests(requests: Iterable[LoggedRequest]) -> list[LoggedRequest]:
    """Those that came although an earlier answer had asked for more time, unless they were on their way already."""
    every = list(requests)
    waits = [
        (one.ended_at + _IN_FLIGHT_SECONDS, one.received_at + one.retry_after)
        for one in every
        if one.retry_after
    ]
    return [one for one in every if any(asked < one.received_at < free for asked, free in waits)]
