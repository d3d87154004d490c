"""A move of offsets as a form or a script asks for it: the words of `jira-relay destinations rewind` and `skip`."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

from consumer.destinations.contract import Flow
from management.destination_move import PlannedMove, plan
from management.fields import FieldValues, require_fields, text_of
from management.offset_moves import Direction
from management.organizations.validation import InputError
from management.times import parse_time
from relay.kafka.connection import Connection

FIELDS = ("direction", "flow", "to")


@dataclass(frozen=True, slots=True)
class MoveRequest:
    """`to`: a time, or `end`. `to_ms` None: the end of the log, for a skip alone."""

    destination: str
    direction: Direction
    flow: Flow
    to: str
    to_ms: int | None

    def fields(self) -> dict[str, str]:
        """Return the fields that ask for the same."""
        return {"name": self.destination, "direction": self.direction, "flow": self.flow, "to": self.to}


def read_move(destination: str, fields: FieldValues) -> MoveRequest:
    """Return the move that the fields ask for. Raises InputError."""
    require_fields(fields, FIELDS)
    direction, flow = text_of(fields, "direction") or "", text_of(fields, "flow") or "live"
    if direction not in {"rewind", "skip"}:
        raise InputError("direction must be rewind or skip.")
    if flow not in {"live", "history"}:
        raise InputError("flow must be live or history.")
    to = text_of(fields, "to") or ""
    if not to:
        raise InputError(
            "Give the time to which the offsets move" + (", or end." if direction == "skip" else ".")
        )
    is_end = direction == "skip" and to == "end"
    to_ms = None if is_end else parse_time(to)
    return MoveRequest(destination, cast("Direction", direction), cast("Flow", flow), to, to_ms)


async def plan_request(
    connection: Connection, asked: MoveRequest, ends: Mapping[int, int] | None = None
) -> PlannedMove:
    """Plan a move, with its exact counts; changes nothing. `ends` as for `plan`. Raises InputError, or RelayError."""
    return await plan(connection, asked.destination, asked.flow, asked.direction, asked.to_ms, ends)
