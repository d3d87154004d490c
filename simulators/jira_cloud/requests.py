from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from aiohttp import web

_ON_ITS_WAY = 0.05


@dataclass(slots=True)
class Exchange:
    """What becomes known while a request is answered; `date` is the site's clock in milliseconds."""

    date: int
    user: str | None = None
    records: int | None = None


EXCHANGE = web.RequestKey("exchange", Exchange)


@dataclass(frozen=True, slots=True)
class Seen:
    """One request: when (monotonic seconds), what, by whom (once authenticated), and what came of it."""

    at: float
    ended: float
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


def too_early(seen: Iterable[Seen]) -> list[Seen]:
    """Those that came although an earlier answer had asked for more time, unless they were on their way already."""
    every = list(seen)
    waits = [(one.ended + _ON_ITS_WAY, one.at + one.retry_after) for one in every if one.retry_after]
    return [one for one in every if any(asked < one.at < free for asked, free in waits)]
