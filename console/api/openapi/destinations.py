"""The description of the calls on destinations."""

from console.api.openapi.contract import (
    Operation,
    boolean,
    instant,
    list_of,
    nullable,
    object_of,
    text,
    whole_number,
)

_RETRIES = object_of(
    {
        "count": whole_number("Requests of all consumers since then whose events had to be sent again."),
        "since": nullable(instant("The first hour of the last 24 that is known.")),
        "last": nullable(object_of({"at": nullable(instant("When.")), "reason": text("Why.")})),
    }
)
_MEMBERS = {
    "name": text("The name in the settings."),
    "kind": text("The kind in the settings."),
    "state": text("The state in one word."),
    "lag": nullable(whole_number("How many events were not delivered. Null: not known now.")),
    "lag_seconds": nullable(
        {
            "type": "number",
            "description": "Age of the oldest event that was not accepted, when it was reported; 0: none waited. Null: not known now.",
        }
    ),
    "lag_seconds_unknown": nullable(text("Why the age is not known. Null: it is known.")),
    "events_per_second": nullable(
        {
            "type": "number",
            "description": "What the consumers handled, over ten minutes at most. Null: not known now.",
        }
    ),
    "retries": nullable(_RETRIES),
}
_NULLABLE_SECONDS = {
    "type": ["number", "null"],
    "description": "The greatest age of the oldest event that was not accepted; 0: none waited. Null: not known.",
}
_HOUR = object_of(
    {
        "start": instant("The start of the hour."),
        "events": nullable(whole_number("Accepted events of all consumers. Null: none of them reported.")),
        "skipped": nullable(whole_number("Events that the filter left out.")),
        "dead_letters": nullable(whole_number("Dead letters.")),
        "retries": nullable(whole_number("Requests whose events had to be sent again.")),
    }
)
_QUARTER = object_of(
    {
        "start": instant("The start of the quarter of an hour."),
        "lag": nullable(whole_number("The most events that were not accepted. Null: not known.")),
        "lag_seconds": _NULLABLE_SECONDS,
    }
)
_DESTINATION = object_of(_MEMBERS, open_ended=True)
_FULL_DESTINATION = object_of(
    {
        **_MEMBERS,
        "hours": list_of(_HOUR, "The last 24 hours, the oldest first."),
        "quarters": list_of(_QUARTER, "The last 24 hours in quarters of an hour, the oldest first."),
    },
    open_ended=True,
)
_PARTITION = object_of(
    {
        "partition": whole_number("The partition of the topic."),
        "committed": nullable(
            whole_number("The offset before which all is delivered. Null: none is committed.")
        ),
        "log_start": whole_number("The first offset that Kafka still has."),
        "log_end": whole_number("The offset of the next record."),
        "lag": nullable(whole_number("How many records are not delivered yet.")),
    }
)
_FLOW = object_of(
    {
        "flow": text("Live events, or history."),
        "group": text("The consumer group."),
        "topic": text("The topic it reads."),
        "members": nullable(whole_number("How many consumers are in the group. Null: unknown.")),
        "partitions": list_of(_PARTITION),
    }
)
_PAUSED = object_of(
    {
        "destination": text("The name of the destination."),
        "state": text("The state that is asked for.", enum=["paused", "running"]),
        "changed": boolean("Whether it was in another state before."),
        "failure": nullable(text("What was not done besides. Null: all was done.")),
    }
)
_UNKNOWN = ("unknown-destination",)

OPERATIONS = {
    "GET /api/v1/destinations": Operation("List the destinations with their states.", list_of(_DESTINATION)),
    "GET /api/v1/destinations/{name}": Operation(
        "Show one destination with its last day.", _FULL_DESTINATION, problems=_UNKNOWN
    ),
    "GET /api/v1/destinations/{name}/offsets": Operation(
        "Show where the consumer groups of a destination are.", list_of(_FLOW), problems=_UNKNOWN
    ),
    "POST /api/v1/destinations/{name}/pause": Operation(
        "Pause a destination in all consumers.", _PAUSED, problems=_UNKNOWN
    ),
    "POST /api/v1/destinations/{name}/resume": Operation(
        "Resume a destination in all consumers.", _PAUSED, problems=_UNKNOWN
    ),
}
