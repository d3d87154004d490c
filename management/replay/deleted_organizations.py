"""Organizations that were deleted since events were lost: no producer can read their records again."""

from collections.abc import Collection

from consumer.losses.lost_range import LostRange
from management.formatting import iso_seconds
from management.replay.recorded_changes import read_changes
from relay.errors import describe, one_line
from relay.kafka import KAFKA_FAILURES
from relay.kafka.connection import Connection
from relay.kafka.topics import partition_of

_MAX_NAMES = 5


async def deletions_note(
    connection: Connection, lost: LostRange, known: Collection[str], partitions: int
) -> str | None:
    """Return which organizations of the lost range exist no more; None: none that the history of changes shows.

    `known`: the names of those that exist. `partitions`: how many the topic of the range has.
    """

    def is_wanted(name: str) -> bool:
        return name not in known and partition_of(name, partitions) == lost.partition

    try:
        changes = await read_changes(connection, is_wanted)
    except KAFKA_FAILURES as error:
        return (
            "It is not known whether an organization of the range was deleted, whose events would not be read:"
            f" {one_line(describe(error))}."
        )
    since = lost.collected_from or 0
    deleted = {
        each["organization"]: each["at"]
        for each in changes
        if each["what"] == "deleted" and each["at"] >= since
    }
    if not deleted:
        return None
    names = [f"{name} ({iso_seconds(at)})" for name, at in deleted.items()]
    more = f" and {len(names) - _MAX_NAMES} more" if len(names) > _MAX_NAMES else ""
    return (
        f"No producer reads organizations that were deleted: {', '.join(names[:_MAX_NAMES])}{more}. Their lost events need --archive,"
        " or the organization again: add it under its name before this replay."
    )
