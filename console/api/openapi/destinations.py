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
        "count": whole_number("Requests since then whose events had to be sent again."),
        "since": nullable(instant("When the first of the consumers that report started.")),
        "last": nullable(object_of({"at": nullable(instant("When.")), "reason": text("Why.")})),
    }
)
_DESTINATION = object_of(
    {
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
        "retries": nullable(_RETRIES),
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
    "GET /api/v1/destinations/{name}": Operation("Show one destination.", _DESTINATION, problems=_UNKNOWN),
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
