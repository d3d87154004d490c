"""The description of events."""

from console.api.openapi.contract import (
    Operation,
    Parameter,
    Schema,
    boolean,
    instant,
    list_of,
    nullable,
    object_of,
    text,
    whole_number,
)

_STORED: dict[str, Schema] = {
    "address": text("The place of the event, as TOPIC/PARTITION/OFFSET."),
    "uid": text("EventUid, as the destinations have it."),
    "topic": text("The topic in Kafka."),
    "partition": whole_number("The partition."),
    "offset": whole_number("The offset."),
    "at": nullable(instant("Kafka's timestamp.")),
    "replay": nullable(
        text("The replay that the event is there for alone. Null: it is for every destination.")
    ),
    "trace_id": nullable(text("The trace of the event, in hexadecimal. Null: it was not traced.")),
    "event": {
        "type": "object",
        "description": "The event as schemas/audit_event.avsc has it, with instants in ISO 8601. Values that may be personal are •••.",
    },
}
_DELIVERY = object_of(
    {
        "destination": text("The destination."),
        "flow": nullable(text("The flow that delivers the event.")),
        "state": text("What became of the event there, in one to three words."),
        "reason": text("Why, as a sentence."),
        "dead_letter": nullable(text("The address of its newest dead letter.")),
    }
)
_EVENT = object_of(_STORED | {"destinations": list_of(_DELIVERY)})
_FILTERS = {
    "organization": "The organization.",
    "id": "The id of the event, or its EventUid.",
    "text": "A part of a value that is not personal, in letters of any case.",
    "from": "The first day or instant of collection.",
    "to": "The instant before which it was collected.",
    "place": "Where to go on: the place of the answer before.",
}

OPERATIONS = {
    "GET /api/v1/events": Operation(
        "Search events, newest first, within five seconds.",
        object_of(
            {
                "events": list_of(object_of(_STORED)),
                "records_read": whole_number("How many records were read."),
                "finished": boolean("Whether the whole range was read."),
                "read_from": nullable(instant("Everything collected from then on was read.")),
                "place": nullable(text("The place to go on from. Null: the whole range was read.")),
                "undecodable": whole_number("How many records could not be decoded."),
                "problems": list_of(text("A batch that cannot be read.")),
            }
        ),
        tuple(Parameter(name, said, {"type": "string"}) for name, said in _FILTERS.items()),
        problems=("invalid-input",),
    ),
    "GET /api/v1/events/{topic}/{partition}/{offset}": Operation(
        "Show an event, its place, and what became of it at each destination.",
        _EVENT,
        problems=("no-event", "invalid-input"),
    ),
    "POST /api/v1/events/{topic}/{partition}/{offset}/reveal": Operation(
        "Show an event with personal data. The history of changes records that.",
        _EVENT,
        problems=("no-event", "invalid-input"),
    ),
}
