from hypothesis import given
from hypothesis import strategies as st

from consumer.assignment.record_buffer import DecodeBatch, build_rows
from consumer.offsets.tracker import SequenceRange
from relay.kafka import TopicPartition
from tests.support.messages import records_at

PARTITIONS = [TopicPartition("events", number) for number in range(2)]


def decode_batch(lengths):
    """A batch of sequences of so many records, of two partitions by turns."""
    sequences, numbers = [], [0, 0]
    for turn, length in enumerate(lengths):
        first = numbers[turn % 2]
        numbers[turn % 2] += length
        sequences.append(SequenceRange(PARTITIONS[turn % 2], first, first + length))
    return DecodeBatch(records_at(range(sum(lengths))), tuple(sequences), 0.0)


def positions(sequences):
    return [
        (sequence.partition, number)
        for sequence in sequences
        for number in range(sequence.first, sequence.stop)
    ]


@given(st.lists(st.integers(1, 4), min_size=1, max_size=8), st.data())
def test_rows_know_their_records_whichever_are_left_out(lengths, data):
    batch = decode_batch(lengths)
    everywhere = range(len(batch.records))
    indices = sorted(data.draw(st.sets(st.sampled_from(everywhere))))
    rows = build_rows(batch, indices, [b"%d" % index for index in indices])

    assert list(rows.records) == [batch.records[index] for index in indices]
    assert positions(rows.sequences) == [positions(batch.sequences)[index] for index in indices]
    assert list(rows.single_rows()) == [rows[number : number + 1] for number in range(len(rows))]


def test_a_batch_of_which_every_second_record_is_left_out_is_told_apart_in_one_pass():
    """Somebody writes something else to the topic, as much as there are events. To look through all for each would take hours."""
    for length in (1, 200_000):
        batch = decode_batch([length] * (200_000 // length))
        rows = build_rows(batch, range(0, 200_000, 2), [b""] * 100_000)
        assert len(list(rows.single_rows())) == 100_000
