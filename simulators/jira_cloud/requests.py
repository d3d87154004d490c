"""The log of requests to a simulated site, and those sent before Retry-After had passed."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from aiohttp import web

_IN_FLIGHT_SECONDS = 0.05


@dataclass(slots=True)
class Exchange:
    """Facts about a request, collected while it is answered. `date` is ms UTC by the site's clock."""

    date: int
    user: str | None = None
    records: int | None = None


EXCHANGE = web.RequestKey("exchange", Exchange)


@dataclass(frozen=True, slots=True)
class LoggedRequest:
    """One request and its answer. Times are monotonic seconds; `user` is None if it was not authenticated."""

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
    """Records in the normal answer; None if the request was not served normally."""
    retry_after: float | None
    """Seconds that the answer asked the client to wait."""


def find_premature_requests(requests: Iterable[LoggedRequest]) -> list[LoggedRequest]:
    """Return the requests that came before the end of a wait that an earlier answer asked for.

    Requests that were already on their way when the answer was sent do not count.
    """
    every = list(requests)
    waits = [
        (one.ended_at + _IN_FLIGHT_SECONDS, one.received_at + one.retry_after)
        for one in every
        if one.retry_after
    ]
    return [one for one in every if any(asked < one.received_at < free for asked, free in waits)]
