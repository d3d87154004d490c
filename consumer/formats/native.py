"""The native format: Jira's own field names, and the relay's beside them."""

import polars as pl

from consumer.formats.json_text import json_object
from consumer.formats.replay_mark import REPLAY_ID

_FIELDS = (
    *(
        "organization",
        "id",
        "created",
        "collected",
        "mode",
        "summary",
        "category",
        "description",
        "eventSource",
    ),
    *("remoteAddress", "authorKey", "authorAccountId", "objectItem", "changedValues", "associatedItems"),
    "unmodeled",
    "variant",
)
_TIMES = {"created", "collected"}


def event_uid() -> pl.Expr:
    """Return the key of an event over all organizations: `organization/id`, or `organization/id/variant`.

    An event has a variant if another published record has its id.
    """
    variant = pl.concat_str(pl.lit("/"), "variant")
    return pl.concat_str("organization", pl.lit("/"), "id", variant, ignore_nulls=True)


def native_fields(*, replayed: bool = False) -> dict[str, pl.Expr]:
    """Return `uid` and the fields of schemas/audit_event.avsc, in their order; times are in ms UTC.

    `replayed`: the events are those of a replay, whose id is the last field.
    """
    names = (*_FIELDS, REPLAY_ID) if replayed else _FIELDS
    fields = {name: pl.col(name).cast(pl.Int64) if name in _TIMES else pl.col(name) for name in names}
    return {"uid": event_uid(), **fields}


def native_row(*, replayed: bool = False) -> pl.Expr:
    """Write each event as one JSON object with the fields of `native_fields`."""
    return json_object(native_fields(replayed=replayed))
