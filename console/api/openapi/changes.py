"""The description of the history of changes."""

from console.api.openapi.contract import (
    Operation,
    Parameter,
    instant,
    list_of,
    nullable,
    object_of,
    text,
    whole_number,
)

_FACTS = {"type": ["object", "null"], "description": "The facts, without secrets. Null: none are recorded."}
_CHANGE = object_of(
    {
        "at": instant("When it was made."),
        "who": text("Who made it."),
        "what": text("What was done."),
        "subject": text("The kind of its object: organization, organizations (all of them) or destination."),
        "name": text("The name of its object."),
        "before": _FACTS,
        "after": _FACTS,
    }
)
_FILTERS = {
    "q": "A part of the change, in letters of any case.",
    "subject": "The kind of the object: organization or destination.",
    "name": "The name of the object.",
    "who": "The person.",
    "what": "The deed.",
    "from": "The first day or instant.",
    "to": "The last day, or the instant before which the changes were made.",
    "page": "The page, from 1.",
}

OPERATIONS = {
    "GET /api/v1/changes": Operation(
        "List the changes, newest first.",
        object_of(
            {
                "as_of": nullable(instant("When the topic was last read.")),
                "count": whole_number("How many changes match."),
                "page": whole_number("The page of this answer, from 1."),
                "pages": whole_number("How many pages there are."),
                "older_than": nullable(
                    instant("Changes before it are not kept in memory. Null: all are there.")
                ),
                "problems": list_of(text("A record that cannot be read.")),
                "changes": list_of(_CHANGE),
            }
        ),
        tuple(Parameter(name, said, {"type": "string"}) for name, said in _FILTERS.items()),
        problems=("invalid-input",),
    )
}
