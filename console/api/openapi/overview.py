"""The description of the overview."""

from console.api.openapi.contract import Operation, instant, list_of, nullable, object_of, text

_MEMBER = object_of(
    {
        "name": text("An organization or a destination."),
        "since": nullable(instant("Since when. Null: unknown.")),
        "detail": nullable(text("What differs from the other members. Null: nothing.")),
    }
)
_CAUSE = object_of(
    {
        "severity": text("How much it needs an operator."),
        "subject": text("The kind of its members: organization or destination."),
        "state": text("The state of its members."),
        "reason": text("The reason that its members share."),
        "since": nullable(instant("Since when the first of them is in this state. Null: unknown.")),
        "members": list_of(_MEMBER),
    }
)
OPERATIONS = {
    "GET /api/v1/overview": Operation(
        "Show the causes that need an operator, the worst first.",
        object_of(
            {
                "as_of": nullable(instant("When the topics were last read.")),
                "failure": nullable(text("Why Kafka cannot be read now. Null: it can.")),
                "problems": list_of(text("A record that cannot be read, or why the replays cannot be.")),
                "causes": list_of(_CAUSE),
            }
        ),
    ),
    "GET /api/v1/openapi.json": Operation(
        "Show this document.", {"type": "object", "description": "An OpenAPI 3.1 document."}
    ),
}
