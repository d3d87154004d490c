"""The description of the calls on dead letters."""

from console.api.openapi.contract import (
    Operation,
    Parameter,
    boolean,
    list_of,
    names,
    nullable,
    object_of,
    text,
    whole_number,
)

_CONDITIONS = {
    "destination": "The destination that refused the record.",
    "reason": "A part of the reason, in letters of any case.",
    "organization": "Names of organizations, with a space between them.",
    "from": "Only letters written at this day or instant, or later.",
    "to": "Only letters written before this day or instant.",
}
_PARAMETERS = (
    *(Parameter(name, about, {"type": "string"}) for name, about in _CONDITIONS.items()),
    Parameter("producer", "Only letters of producers.", {"type": "string", "enum": ["true", "false"]}),
    Parameter(
        "state",
        "Only letters in this state.",
        {"type": "string", "enum": ["open", "redriven", "failed again", "duplicate"]},
    ),
    Parameter(
        "limit",
        "The number of letters, the newest first; 50 if it is left out.",
        {"type": "integer", "minimum": 1, "maximum": 1_000},
    ),
)
_LETTER = object_of(
    {
        "partition": whole_number("The partition of the dead-letter topic."),
        "offset": whole_number("The offset in it."),
        "at": nullable(text("When it was written.")),
        "organization": nullable(text("The organization; null: the record has none.")),
        "size": whole_number("Bytes of the record."),
        "state": text("Whether it is open, or what closed it."),
        "headers": {
            "type": "object",
            "description": "The headers of the relay: reason, destination and others.",
        },
    },
    open_ended=True,
)
_REASON = object_of(
    {
        "written_by": text("The destination, or the service, that wrote the letters."),
        "reason": text("The reason of the newest of them."),
        "letters": whole_number("How many there are."),
        "open": whole_number("How many of them are open."),
    },
    open_ended=True,
)
_BODY = object_of(
    {
        "destination": nullable(text(_CONDITIONS["destination"])),
        "reason": nullable(text(_CONDITIONS["reason"])),
        "organization": names(
            "Organizations, as a list or with spaces between them; without any, all that exist are meant."
        ),
        "from": nullable(text(_CONDITIONS["from"])),
        "to": nullable(text(_CONDITIONS["to"])),
        "to_live": boolean("Whether the events go where live events go."),
        "rate": nullable(whole_number("The most events a second; null: no limit.")),
        "producer": boolean(
            "Whether the producers read their own letters again, for every destination; without destination, to_live and rate."
        ),
        "dry_run": boolean("Whether the letters are counted alone."),
    },
    optional=(
        "destination",
        "reason",
        "organization",
        "from",
        "to",
        "to_live",
        "rate",
        "producer",
        "dry_run",
    ),
)
_REDRIVEN = object_of(
    {
        "started": boolean("Whether the replays were started."),
        "replays": list_of(
            {"type": "object"}, "One replay for each destination, or one for the producers, with its numbers."
        ),
        "left_open": {"type": "object", "description": "Letters that stay open: their number by reason."},
        "failures": list_of(text("What was not done besides.")),
    }
)

OPERATIONS = {
    "GET /api/v1/dead-letters": Operation(
        "List the newest dead letters, and the numbers of all by destination and reason.",
        object_of(
            {
                "letters": list_of(_LETTER),
                "reasons": list_of(_REASON),
                "states": {"type": "object", "description": "The number of letters in each state."},
                "problems": list_of(text("A batch that cannot be read.")),
            }
        ),
        parameters=_PARAMETERS,
        problems=("invalid-input",),
    ),
    "POST /api/v1/dead-letters/redrive": Operation(
        "Send the events of open letters again, or count them.",
        _REDRIVEN,
        body=_BODY,
        problems=("unknown-destination",),
    ),
}
