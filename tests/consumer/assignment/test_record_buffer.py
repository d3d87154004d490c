from hypothesis import given
from hypothesis import strategies as st

from consumer.assignment.record_buffer import RecordBuffer
from consumer.delivery.batch import Rows
from consumer.formats.encoded_rows import EncodedRows
from consumer.offsets.tracker import SequenceRange, TrackedRecords
from relay.kafka import TopicPartition
from tests.support.messages import records_at

PARTITIONS = [TopicPartition("events", number) for number in range(2)]


def tracked_records(lengths):
    """Records in sequences of so many records, of two partitions by turns."""
    sequences, numbers = [], [0, 0]
    for turn, length in enumerate(lengths):
        first = numbers[turn % 2]
        numbers[turn % 2] += length
        sequences.append(SequenceRange(PARTITIONS[turn % 2], first, first + length))
    return TrackedRecords(records_at(range(sum(lengths))), tuple(sequences))


def positions(sequences):
    return [
        (sequence.partition, number)
        for sequence in sequences
        for number in range(sequence.first, sequence.stop)
    ]


@given(st.lists(st.integers(1, 4), min_size=1, max_size=8), st.data())
def test_rows_know_their_records_whichever_are_left_out(lengths, data):
    tracked = tracked_records(lengths)
    indices = sorted(data.draw(st.sets(st.sampled_from(range(len(tracked))))))
    rows = Rows(EncodedRows.of([b"%d" % index for index in indices], b","), tracked.select(indices))

    assert list(rows.tracked.records) == [tracked.records[index] for index in indices]
    assert positions(rows.tracked.sequences) == [positions(tracked.sequences)[index] for index in indices]
    assert list(rows.tracked.singles()) == [rows[n : n + 1].tracked for n in range(len(rows))]


def test_a_batch_of_which_every_second_record_is_left_out_is_divided_in_one_pass():
    """Something else writes to the topic, as much as there are events. To search all of them for each would take hours."""
    for length in (1, 200_000):
        tracked = tracked_records([length] * (200_000 // length))
        assert len(list(tracked.select(range(0, 200_000, 2)).singles())) == 100_000


def test_a_buffer_gives_out_its_records_in_order_and_in_chunks():
    tracked = tracked_records([3, 2, 4])
    buffer, position = RecordBuffer(chunk_bytes=1), 0
    for number, sequence in enumerate(tracked.sequences):
        records = tracked.records[position : position + len(sequence)]
        buffer.add(records, sequence, float(number))
        position += len(sequence)
    size = buffer.bytes
    first = buffer.take(1)
    assert (len(first.tracked), first.first_read_at, buffer.first_read_at) == (1, 0.0, 0.0)
    rest = buffer.take(size)
    assert [*first.tracked.records, *rest.tracked.records] == tracked.records
    assert positions(first.tracked.sequences + rest.tracked.sequences) == positions(tracked.sequences)
    assert (buffer.bytes, buffer.first_read_at, buffer.oldest_ms) == (0, None, None)
