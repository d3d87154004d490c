"""The description of the calls on replays."""

from console.api.openapi.contract import (
    Operation,
    boolean,
    list_of,
    names,
    nullable,
    object_of,
    text,
    whole_number,
)

_REPLAY = object_of(
    {
        "id": text("The id of the replay."),
        "destination": text("The destination that gets the events again."),
        "state": text("The state in one word."),
        "wished": text("What an operator asked for last."),
        "fraction": {"type": "number", "description": "How much is done, from 0 to 1."},
    },
    open_ended=True,
)
_BODY = object_of(
    {
        "destination": text("The destination that gets the events again."),
        "by": text("Whether the window is by collection or by Jira's time.", enum=["collected", "created"]),
        "from": nullable(text("The beginning of the window: a day or an instant.")),
        "to": nullable(text("The end of the window.")),
        "organization": names(
            "Organizations, as a list or with spaces between them; without any, all are meant."
        ),
        "event": names("Events, each as ORGANIZATION/ID, as a list or with spaces between them."),
        "where": nullable(text("A filter, as that of a destination.")),
        "archive": nullable(text("An archive to read what Kafka has deleted from.")),
        "lost": nullable(text("A lost range of the destination, in place of a window.")),
        "refill": boolean("Whether the source is read again."),
        "to_live": boolean("Whether the events go where live events go."),
        "rate": nullable(whole_number("The most events a second; null: no limit.")),
        "target": text("Where the events go: kind and settings of the target, without secrets."),
        "dry_run": boolean("Whether the events are counted alone."),
    },
    optional=(
        *("by", "from", "to", "organization", "event", "where", "archive"),
        *("lost", "refill", "to_live", "rate", "dry_run"),
    ),
)
_STARTED = {"type": "object", "description": "The replay that was started, or the counts of a dry run."}
_WISHED = object_of(
    {
        "id": text("The id of the replay."),
        "wished": text("What is asked for.", enum=["paused", "running", "cancelled"]),
        "changed": boolean("Whether something else was asked for before."),
        "state": text("The state of the replay."),
        "failure": nullable(text("What was not done besides. Null: all was done.")),
    }
)
_UNKNOWN = ("unknown-replay",)

OPERATIONS = {
    "GET /api/v1/replays": Operation(
        "List the replays, the newest first.",
        object_of({"replays": list_of(_REPLAY), "problems": list_of(text("A record that cannot be read."))}),
    ),
    "POST /api/v1/replays": Operation(
        "Start a replay, or count its events.", _STARTED, body=_BODY, problems=("unknown-destination",)
    ),
    "GET /api/v1/replays/{id}": Operation("Show one replay.", _REPLAY, problems=_UNKNOWN),
    "POST /api/v1/replays/{id}/pause": Operation(
        "Pause a replay.", _WISHED, problems=(*_UNKNOWN, "invalid-input")
    ),
    "POST /api/v1/replays/{id}/resume": Operation(
        "Resume a replay.", _WISHED, problems=(*_UNKNOWN, "invalid-input")
    ),
    "POST /api/v1/replays/{id}/cancel": Operation(
        "Cancel a replay.", _WISHED, problems=(*_UNKNOWN, "invalid-input")
    ),
}
