"""The description of completeness."""

from typing import get_args

from console.api.openapi.contract import (
    Operation,
    Schema,
    boolean,
    list_of,
    nullable,
    object_of,
    text,
    whole_number,
)
from management.completeness.calendar import DayWord
from management.completeness.repair import Step

_WORDS = list(get_args(DayWord))
_CHAIN: dict[str, Schema] = {
    "organization": text("The organization."),
    "fault": nullable(text("Why its chain of seals is broken, with the place. Null: it is whole.")),
}
_LAST = nullable(text("The last day that has a seal. Null: none has.", format="date"))
_DAY: dict[str, Schema] = {
    "day": text("The UTC day of Jira's own time.", format="date"),
    "state": text("The state of the day.", enum=_WORDS),
    "edition": nullable(
        whole_number("The number of its latest seal among those of the day. Null: it has none.")
    ),
    "events": nullable(whole_number("How many events Kafka has of it. Null: it was not counted.")),
}
_RECORD = object_of(
    {
        "signature_valid": {
            "type": ["boolean", "null"],
            "description": "Whether the signature is that of the key that the statement names. Null: it is an account without a seal.",
        },
        "statement": {
            "type": "object",
            "description": "The statement, as docs/proof.md describes it.",
        },
    }
)

OPERATIONS = {
    "GET /api/v1/completeness": Operation(
        "Count the days of each organization by state, over the last 180 days; broken chains and differing days are first.",
        list_of(
            object_of(
                _CHAIN
                | {
                    "last_sealed": _LAST,
                    "states": {
                        "type": "object",
                        "description": "How many days have each state.",
                        "additionalProperties": {"type": "integer"},
                    },
                }
            )
        ),
    ),
    "GET /api/v1/completeness/{name}": Operation(
        "Show the last 180 days of an organization, the oldest first.",
        object_of(_CHAIN | {"last_sealed": _LAST, "days": list_of(object_of(_DAY))}),
        problems=("unknown-organization",),
    ),
    "GET /api/v1/completeness/{name}/{day}": Operation(
        "Show a day with its seals, the newest first, or with its account while it has no seal.",
        object_of(_DAY | _CHAIN | {"records": list_of(_RECORD)}),
        problems=("unknown-organization", "invalid-input"),
    ),
    "POST /api/v1/completeness/{name}/{day}/repair": Operation(
        "Count a day, and start what its differences ask for.",
        object_of(
            {
                "organization": text("The organization."),
                "day": text("The UTC day.", format="date"),
                "state": text("The state of the day, as it was counted now."),
                "findings": list_of(text("What differs.")),
                "steps": list_of(
                    object_of(
                        {
                            "step": text("What kind of job.", enum=list(get_args(Step))),
                            "text": text("What it does, or why no job does something."),
                            "replay": nullable(text("The replay that it starts.")),
                        }
                    )
                ),
                "done": list_of(text("What was started.")),
            }
        ),
        body=object_of(
            {
                "dry_run": boolean("Plan alone, and start nothing."),
                "to_live": boolean("Send events to where new events go."),
            },
            ("dry_run", "to_live"),
        ),
        problems=("unknown-organization", "invalid-input"),
    ),
}
