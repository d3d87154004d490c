"""The query parameters of Jira's audit API."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo

from simulators.jira_cloud.log import Selection

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_DATE = re.compile(
    r"(?P<date>\d{4}-\d\d-\d\d)(?:T(?P<time>\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?))?(?P<zone>Z|[+-]\d\d:?\d\d)?",
    re.ASCII,
)


class QueryError(Exception):
    """A parameter of the request is invalid. The message is Jira's."""


@dataclass(frozen=True, slots=True)
class Query:
    """The parameters of a request. `selection` None: no record can match."""

    offset: int
    limit: int
    selection: Selection | None


def parse_instant(text: str, zone: tzinfo | None) -> int | None:
    """Parse an instant into ms UTC. None: the text has no zone and `zone` is None.

    Raises QueryError when the text is not a date.
    """
    match = _DATE.fullmatch(text)
    try:
        if match is None:
            raise ValueError(text)
        at = datetime.fromisoformat(f"{match['date']}T{match['time'] or '00:00'}{match['zone'] or ''}")
    except ValueError:
        raise QueryError(f'Invalid date "{text}"') from None
    if at.tzinfo is None:
        if zone is None:
            return None
        at = at.replace(tzinfo=zone)
    return (at - _EPOCH) // _MILLISECOND


def format_instant(at: int) -> str:
    """Return an instant (ms UTC) as Jira writes `created`: with milliseconds, and a zone without a colon."""
    return (_EPOCH + at * _MILLISECOND).replace(tzinfo=None).isoformat(timespec="milliseconds") + "+0000"


def parse_query(query: Mapping[str, str], *, zone: tzinfo | None, equal_bounds_match: bool) -> Query:
    """Parse the parameters of a request; unknown names are ignored.

    `zone` is the zone of a date without one; None: such a date matches no record. Raises QueryError.
    """
    offset = max(0, _parse_integer(query, "offset", 0))
    limit = max(0, _parse_integer(query, "limit", 1000))
    bounds = [parse_instant(query[name], zone) if name in query else None for name in ("from", "to")]
    unzoned = any(name in query and bound is None for name, bound in zip(("from", "to"), bounds, strict=True))
    since, until = bounds
    empty_range = (
        since is not None
        and until is not None
        and (since > until or (since == until and not equal_bounds_match))
    )
    terms = tuple(query.get("filter", "").split())
    return Query(offset, limit, None if unzoned or empty_range else Selection(since, until, terms))


def _parse_integer(query: Mapping[str, str], name: str, default: int) -> int:
    text = query.get(name, str(default))
    if not re.fullmatch(r"[+-]?\d{1,10}", text, re.ASCII) or not -(2**31) <= int(text) < 2**31:
        raise QueryError(f'Invalid value "{text}" of {name}')
    return int(text)
