from hypothesis import given
from hypothesis import strategies as st

from producer.endings import STANDSTILL_SECONDS, Standstill
from relay.kafka import TopicPartition
from relay.kafka.reading import Span
from relay.kafka.transactions import TRANSACTION_SECONDS

TP = TopicPartition("events", 0)


def looks(*extents, step=2.0):
    """What a watch finds that looks every `step` seconds at (committed end, end of the log)."""
    standstill = Standstill()
    return [
        standstill.look({TP: Span(0, committed, high)}, number * step)
        for number, (committed, high) in enumerate(extents)
    ]


def test_an_end_that_stands_still_is_found():
    """Longer than any transaction of ours lasts, and not before."""
    found = looks(*[(5, 8)] * 7)

    assert found == [set()] * 5 + [{TP}] * 2
    assert STANDSTILL_SECONDS > TRANSACTION_SECONDS


def test_ends_that_move_are_no_matter():
    """A busy partition is below its end most of the time; one that agrees has no transaction left."""
    assert not any(looks(*[(number, number + 3) for number in range(20)]))
    assert not any(looks(*[(8, 8)] * 20))


def test_a_transaction_that_ends_is_forgotten():
    """The next one has its own time."""
    assert not any(looks(*([(5, 8)] * 4 + [(9, 9)] + [(9, 12)] * 4 + [(13, 13)])))


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), max_size=30), st.floats(0.1, 5))
def test_only_what_has_stood_still_for_so_long_is_found(extents, step):
    """Whatever the ends do."""
    extents = [(committed, max(committed, high)) for committed, high in extents]
    for number, found in enumerate(looks(*extents, step=step)):
        since = [index for index in range(number + 1) if (number - index) * step >= STANDSTILL_SECONDS]
        stood = bool(since) and all(
            one[0] == extents[number][0] and one[0] < one[1] for one in extents[since[-1] : number + 1]
        )
        assert (TP in found) == stood
