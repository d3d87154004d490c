"""What an operator asks of a replay, checked against the settings. Pure."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from consumer.decoding.event_schema import EVENT_COLUMNS
from consumer.destinations.catalogue import DESTINATIONS
from consumer.destinations.contract import DestinationConfig, Kinds
from consumer.formats.filter import FilterError, compile_filter
from consumer.targets.target import target_of
from management.destinations import require_known
from management.formatting import iso_seconds
from management.organizations.validation import InputError, validate_name
from management.replay.archive import check_archive, conditions
from relay.errors import sentence

MAX_EVENTS = 10_000

_EVENT = re.compile(r"(\S+)/(0|[1-9]\d{0,18})", re.ASCII)


@dataclass(frozen=True, slots=True)
class ReplayRequest:
    """The events that an operator wants at a destination again. `from_ms` and `to_ms` (not included) are ms UTC."""

    destination: str
    by: Literal["collected", "created"] = "collected"
    from_ms: int | None = None
    """None: only with `events`; as far back as Kafka keeps them."""
    to_ms: int | None = None
    """None: until the end of the log at the start of the replay."""
    organizations: Sequence[str] = ()
    """Empty: all."""
    events: Sequence[str] = ()
    """`ORG/ID` of single events; empty: all of the window."""
    where: str | None = None
    archive: str | None = None
    """Name of the object store that has what Kafka has deleted; None: Kafka alone."""
    to_live: bool = False
    rate: int | None = None
    """Events a second, at most; None: as fast as the destination takes them beside live events."""

    @property
    def keys(self) -> Sequence[str]:
        """The organizations whose events may be wanted, sorted; empty: all."""
        named = {each.rpartition("/")[0] for each in self.events}
        return sorted(named or set(self.organizations))


def check_request(
    request: ReplayRequest,
    destinations: Mapping[str, DestinationConfig],
    now_ms: int,
    kinds: Kinds = DESTINATIONS,
) -> None:
    """Raise InputError for a request that cannot be fulfilled, whatever Kafka holds."""
    require_known(destinations, request.destination)
    _check_target(request, destinations[request.destination], kinds)
    _check_window(request, now_ms)
    _check_events(request)
    for name in request.organizations:
        validate_name(name)
    _check_where(request.where)
    if request.rate is not None and request.rate < 1:
        raise InputError("The rate must be at least 1 event a second; leave `rate` out for no limit.")
    if request.archive is not None:
        wanted = conditions(destinations[request.destination], request.where)
        check_archive(request.archive, destinations, wanted)


def target_address(config: DestinationConfig, kinds: Kinds, *, to_live: bool) -> str | None:
    """Return where the events of a replay go, as its job and the claims of targets name it; None: there is no such target."""
    identity = kinds[config.kind].identity(config).get("live" if to_live else "history")
    return None if identity is None else target_of(config.kind, identity).address


def _check_target(request: ReplayRequest, config: DestinationConfig, kinds: Kinds) -> None:
    if request.to_live or "history" in kinds[config.kind].identity(config):
        return
    raise InputError(
        f"The destination {request.destination} has no target for history, so a replay would go where new events go, and rules could"
        " raise alarms again. Set its target for history (docs/destinations), or give `to_live`."
    )


def _check_window(request: ReplayRequest, now_ms: int) -> None:
    start, end = request.from_ms, request.to_ms
    if start is None and not request.events:
        raise InputError(
            "A replay needs a window, or single events: give `from`, and `to` unless it ends now, or give `event` as ORG/ID."
        )
    if start is not None and end is not None and start >= end:
        raise InputError(
            f"The window is empty: `from` ({iso_seconds(start)}) must be before `to` ({iso_seconds(end)}), which is not included."
        )
    if start is not None and start >= now_ms:
        raise InputError(
            f"The window begins in the future: `from` is {iso_seconds(start)}, and now it is {iso_seconds(now_ms)}."
        )


def _check_events(request: ReplayRequest) -> None:
    if len(request.events) > MAX_EVENTS:
        raise InputError(
            f"A replay takes at most {MAX_EVENTS:,} single events; give a window and `where` instead."
        )
    for text in request.events:
        found = _EVENT.fullmatch(text)
        if found is None:
            raise InputError(
                f"{text} names no event. Write ORGANIZATION/ID, such as acme.atlassian.net/1234, as rows have it."
            )
        if request.organizations and found[1] not in request.organizations:
            raise InputError(f"The event {text} is of none of the organizations that `organization` names.")


def _check_where(where: str | None) -> None:
    if where is None:
        return
    try:
        compile_filter(where, EVENT_COLUMNS)
    except FilterError as error:
        raise InputError(sentence(f"The condition of `where` {error}")) from error
