from hypothesis import given
from hypothesis import strategies as st

from consumer.assignment.record_buffer import Load, rows_of
from consumer.offsets.tracker import Span
from relay.kafka import TopicPartition
from tests.support.messages import stood

PARTITIONS = [TopicPartition("events", number) for number in range(2)]


def loaded(lengths):
    """A load of spans of so many records, of two partitions by turns."""
    spans, numbers = [], [0, 0]
    for turn, length in enumerate(lengths):
        first = numbers[turn % 2]
        numbers[turn % 2] += length
        spans.append(Span(PARTITIONS[turn % 2], first, first + length))
    return Load(stood(range(sum(lengths))), tuple(spans), 0.0)


def places(spans):
    return [(span.partition, number) for span in spans for number in range(span.first, span.stop)]


@given(st.lists(st.integers(1, 4), min_size=1, max_size=8), st.data())
def test_rows_know_their_records_whichever_are_left_out(lengths, data):
    load = loaded(lengths)
    everywhere = range(len(load.records))
    indices = sorted(data.draw(st.sets(st.sampled_from(everywhere))))
    rows = rows_of(load, indices, [b"%d" % index for index in indices])

    assert list(rows.records) == [load.records[index] for index in indices]
    assert places(rows.spans) == [places(load.spans)[index] for index in indices]
    assert list(rows.singly()) == [rows[number : number + 1] for number in range(len(rows))]


def test_a_load_of_which_every_second_record_is_left_out_is_told_apart_in_one_pass():
    """Somebody writes something else to the topic, as much as there are events. To look through all for each would take hours."""
    for length in (1, 200_000):
        load = loaded([length] * (200_000 // length))
        rows = rows_of(load, range(0, 200_000, 2), [b""] * 100_000)
        assert len(list(rows.singly())) == 100_000
