"""The notes that a move shows before an operator confirms it."""

from consumer.offsets.delivered import DeliveryProgress
from management.offset_moves import plan_move
from management.offset_notes import notes_on
from relay.kafka import OffsetAndMetadata, TopicPartition
from relay.kafka.group_offsets import GroupOffsets
from relay.kafka.log_reader import CorruptBatchError, LogBounds

A, B = TopicPartition("t", 0), TopicPartition("t", 1)


def notes(direction, before, target, *, log_start=10, committed=(A, B), to_ms=1, unreadable=()):
    offsets = GroupOffsets(
        0,
        {each: OffsetAndMetadata(before, "") for each in committed},
        dict.fromkeys((A, B), LogBounds(log_start, 50, 50)),
    )
    moves = [plan_move(direction, each, DeliveryProgress.starting_at(before), target) for each in committed]
    return notes_on(offsets, moves, to_ms, "t", "g", unreadable)


def test_a_move_within_the_log_needs_no_note():
    assert notes("skip", 20, 30) == notes("rewind", 30, 20) == []


def test_a_partition_without_an_offset_is_named():
    """It is not moved: a destination would deliver there what an operator wanted to leave out."""
    (note,) = notes("skip", 20, 30, committed=(A,))
    assert "g has no offset in the partitions 1 of t" in note


def test_events_that_kafka_deleted_before_a_skip_are_named():
    """The move hides them from the report of losses."""
    (note,) = notes("skip", 5, 30)
    assert "partitions 0, 1" in note
    assert "not report them as lost" in note


def test_a_rewind_to_the_start_of_the_log_says_that_there_was_more():
    (note,) = notes("rewind", 30, 10)
    assert "keeps nothing older" in note


def test_a_batch_that_cannot_be_read_is_named():
    """A skip is how an operator passes it, so it does not stop the count."""
    (note,) = notes("skip", 20, 30, unreadable=[CorruptBatchError(A, 22, 24, "crc")])
    assert "t, partition 0, offsets 22 to 24, cannot be read" in note
