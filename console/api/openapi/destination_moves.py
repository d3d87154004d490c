"""The description of the calls that move offsets, and of those on lost ranges."""

from console.api.openapi.contract import (
    Operation,
    boolean,
    list_of,
    nullable,
    object_of,
    text,
    whole_number,
)

_MOVE = object_of(
    {
        "to": text("A day or an instant; for a skip also `end`: all that Kafka has now."),
        "flow": text("The flow to move; live if it is left out.", enum=["live", "history"]),
        "dry_run": boolean("Whether the events are counted alone."),
    },
    optional=("flow", "dry_run"),
)
_MOVED = object_of(
    {
        "destination": text("The name of the destination."),
        "flow": text("The flow that was moved."),
        "direction": text("Where to.", enum=["rewind", "skip"]),
        "moved": boolean("Whether the offsets were set."),
        "events": whole_number("The events that are delivered again, or left out."),
        "by_organization": {"type": "object", "description": "The same by organization."},
        "offsets": {"type": "object", "description": "The offsets before and after, by partition."},
        "notes": list_of(text("What differs from what was asked for.")),
        "failure": nullable(text("What was not done besides. Null: all was done.")),
    }
)
_RANGE = object_of(
    {
        "entry": text("The short name of the range, such as `events/3/1200`."),
        "lost": whole_number("Offsets that were not accepted."),
        "remedy": text("What brings the events back."),
    },
    open_ended=True,
)
_ONE = "/api/v1/destinations/{name}"
_UNKNOWN = ("unknown-destination",)

OPERATIONS = {
    f"POST {_ONE}/rewind": Operation(
        "Deliver events again to a paused destination, or count them.", _MOVED, body=_MOVE, problems=_UNKNOWN
    ),
    f"POST {_ONE}/skip": Operation(
        "Leave events out at a paused destination, or count them.", _MOVED, body=_MOVE, problems=_UNKNOWN
    ),
    f"GET {_ONE}/lost": Operation(
        "List the events that Kafka deleted before their delivery.",
        object_of({"ranges": list_of(_RANGE), "problems": list_of(text("A range that cannot be read."))}),
        problems=_UNKNOWN,
    ),
    f"POST {_ONE}/lost/dismiss": Operation(
        "Take a lost range off the list.",
        object_of(
            {
                "destination": text("The name of the destination."),
                "dismissed": text("The short name of the range."),
                "failure": nullable(text("What was not done besides. Null: all was done.")),
            }
        ),
        body=object_of({"entry": text("The short name of the range.")}),
        problems=_UNKNOWN,
    ),
}
