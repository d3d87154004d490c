"""Personal data in events: hidden until a person asks for it, and then recorded in the history of changes."""

from collections.abc import Mapping
from typing import Any

from relay.change_log import write_change
from relay.errors import RelayError
from relay.kafka.connection import Connection
from relay.kafka.producer import TopicWriteError

HIDDEN = "•••"
VIEWED, SEARCHED = "viewed personal data of", "searched personal data of"
"""Begin of what a change says that records a view, or a search."""

_SHOWN = frozenset(
    ("organization", "id", "created", "collected", "mode", "summary", "category", "eventSource", "variant")
)
"""Fields that say what happened, when and where, and not to whom. A field that a later schema adds is hidden."""
_SHOWN_WITHIN = frozenset(("typeName", "fieldName"))
"""The same of items and changed values, whose `id` may be that of an account."""


def without_personal_data(event: Mapping[str, Any]) -> dict[str, Any]:
    """Return a decoded event with HIDDEN in place of each value that may be personal. None stays None. Pure."""
    return _shown(event, _SHOWN)


def _shown(values: Mapping[str, Any], names: frozenset[str]) -> dict[str, Any]:
    return {name: value if name in names else _masked(value) for name, value in values.items()}


def _masked(value: Any) -> Any:
    match value:
        case None:
            return None
        case dict():
            return _shown(value, _SHOWN_WITHIN)
        case list():
            return [_masked(each) for each in value]
    return HIDDEN


async def record_view(
    connection: Connection, key: str, of: str, who: str, now_ms: int, *, deed: str = VIEWED
) -> None:
    """Record that a person is about to see personal data. Show it only after this has returned.

    `key`: the organization, or `destination/NAME`, that the change is listed under; `of`: what is shown, such as `acme/17`.
    Raises RelayError if Kafka does not confirm the record.
    """
    try:
        await write_change(connection, key, who, now_ms, f"{deed} {of}")
    except TopicWriteError as error:
        raise RelayError(
            f"The personal data of {of} is not shown, because the history of changes could not record that. {error} Try again."
        ) from error
