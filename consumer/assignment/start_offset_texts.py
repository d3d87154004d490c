"""The texts of the status about a partition that starts at another offset than the known one."""

from relay.kafka import TopicPartition
from relay.timestamps import to_iso_any


def moved_text(partition: TopicPartition, known: int, found: int) -> str:
    """Return the text of the status when the last delivered record is at another offset."""
    return (
        f"The log of {partition.topic}, partition {partition.partition}, is not the log in which offset {known} was committed; it may be"
        f" a mirror. Its last delivered event is at offset {found - 1}; delivery continues after it. Nothing is lost or repeated."
    )


def reread_text(partition: TopicPartition, known: int, start: int, since_ms: int) -> str:
    """Return the text of the status when the log no longer holds the last delivered record."""
    return (
        f"The log of {partition.topic}, partition {partition.partition}, does not hold the last event delivered before offset {known}."
        f" Events collected since {to_iso_any(since_ms)} are delivered again, from offset {start} on. EventUid identifies repeats."
    )


def unproven_text(partition: TopicPartition, known: int, start: int) -> str:
    """Return the text of the status when no record proves an offset."""
    return (
        f"No delivered event confirms offset {known} of {partition.topic}, partition {partition.partition}."
        f" Every retained event is delivered again, from offset {start} on. EventUid identifies repeats."
    )


def split_offset_unknown_text(partition: TopicPartition, start: int) -> str:
    """Return the text of the status when a group of older events does not know where they end in another log."""
    return (
        f"The log of {partition.topic}, partition {partition.partition}, is another than the one in which older events were divided from"
        f" live ones. Older events from offset {start} on are not sent to history. Live events are delivered."
    )
