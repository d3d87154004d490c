import time

from hypothesis import given
from hypothesis import strategies as st

from consumer.gathering import Load, rows_of
from consumer.offsets import Span
from relay.kafka import TopicPartition
from tests.consumer.messages import stood

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


def test_a_load_of_which_every_second_record_is_left_out_takes_no_time():
    """Somebody writes something else to the topic, as much as there are events: nothing else runs until both are apart."""
    for length in (1, 10_000):
        load = loaded([length] * (10_000 // length))
        begun = time.process_time()
        rows = rows_of(load, range(0, 10_000, 2), [b""] * 5_000)
        assert len(list(rows.singly())) == 5_000
        assert time.process_time() - begun < 2
