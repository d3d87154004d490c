"""A replay as a form or a script asks for it: the words of `jira-relay replay start` as fields."""

from dataclasses import dataclass

from management.fields import FieldValues, flag_of, names_of, number_of, require_fields, text_of, time_of
from management.organizations.validation import InputError
from management.replay.archive import Destinations
from management.replay.lost import plan_lost, plan_refill
from management.replay.request import ReplayRequest
from management.replay.start import PlannedReplay, plan_replay
from management.replay.texts import target_text, window_text
from relay.kafka.connection import Connection

FIELDS = (
    "destination",
    "by",
    "from",
    "to",
    "organization",
    "event",
    "where",
    "archive",
    "lost",
    "refill",
    "to_live",
    "rate",
)


@dataclass(frozen=True, slots=True)
class AskedReplay:
    """What is asked for. `lost`: name of a lost range of the destination; None: a window. `refill`: from the source again."""

    request: ReplayRequest
    lost: str | None = None
    refill: bool = False


def read_asked(fields: FieldValues) -> AskedReplay:
    """Return what the fields ask for. Raises InputError."""
    require_fields(fields, FIELDS)
    by = text_of(fields, "by") or "collected"
    if by not in {"collected", "created"}:
        raise InputError("by must be collected or created.")
    request = ReplayRequest(
        text_of(fields, "destination") or "",
        "created" if by == "created" else "collected",
        time_of(fields, "from"),
        time_of(fields, "to"),
        names_of(fields, "organization"),
        names_of(fields, "event"),
        text_of(fields, "where"),
        text_of(fields, "archive"),
        flag_of(fields, "to_live"),
        number_of(fields, "rate"),
    )
    return AskedReplay(request, text_of(fields, "lost"), flag_of(fields, "refill"))


async def plan_asked(
    connection: Connection, destinations: Destinations, asked: AskedReplay, now_ms: int
) -> PlannedReplay:
    """Plan a replay of a window, of a lost range, or from the source again. Writes nothing. Raises InputError, or RelayError."""
    request = asked.request
    if asked.lost is not None:
        has_window = request.from_ms is not None or request.to_ms is not None
        if has_window or request.organizations or request.events:
            raise InputError(
                "A lost range has its window: give `lost` without `from`, `to`, `organization` and `event`."
            )
        return await plan_lost(connection, destinations, request, asked.lost, now_ms)
    if asked.refill:
        return await plan_refill(connection, destinations, request, now_ms)
    return await plan_replay(connection, destinations, request, now_ms)


def plan_text(planned: PlannedReplay) -> str:
    """Return what a planned replay does, in a few sentences."""
    request, plan = planned.request, planned.plan
    ranges = f"{len(plan.ranges)} partition{'s'[: len(plan.ranges) != 1]}"
    window = window_text(request.by, request.from_ms, request.to_ms, len(request.events))
    read = f" At most {plan.offsets:,} events of {ranges} are read." if planned.content == "events" else ""
    return f"{request.destination} gets the events again: {window}. They go {target_text(to_live=request.to_live)}.{read}"
