"""The bodies of a job, within the limits of its destination, and the pace at which they start."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer.delivery.batch import Rows
from consumer.delivery.circuit_breaker import RateLimit
from consumer.destinations.contract import BodyFormat, Limits
from consumer.destinations.outcome import Paused, Retry
from consumer.formats.encoded_rows import EncodedRows
from consumer.offsets.tracker import SequenceRange, TrackedRecords
from consumer.replay.bodies import BodyBuilder, OversizedRow
from consumer.replay.pace import Pace, live_wait
from tests.support.messages import Message
from tests.support.replay_run import partition

FORMAT = BodyFormat(60, b"[", b",", b"]", max_rows=5)


def rows(number, first, *organizations, size=4):
    """Return rows of one partition, one for each organization, each of `size` bytes."""
    records = [
        Message(b"", name.encode(), 0, *partition(number), offset=first + index)
        for index, name in enumerate(organizations)
    ]
    encoded = EncodedRows.of([b"x" * size for _ in records], b",")
    return Rows(
        encoded, TrackedRecords(records, (SequenceRange(partition(number), first, first + len(records)),))
    )


def offsets(body):
    return [each.offset for each in body.tracked.records]


@given(sizes=st.lists(st.integers(1, 12), max_size=8), max_rows=st.none() | st.integers(1, 9))
def test_every_row_is_in_one_body_in_order_and_no_body_is_too_large(sizes, max_rows):
    builder, found, first = BodyBuilder(Limits(FORMAT), max_rows), [], 0
    for count in sizes:
        found += builder.add(rows(0, first, *["acme"] * count))
        first += count
    found += builder.flush()

    assert [offset for body in found for offset in offsets(body)] == list(range(first))
    assert all(1 <= len(body) <= min(5, max_rows or 5) for body in found)
    assert all(FORMAT.size(body.encoded) <= FORMAT.max_bytes for body in found)
    assert list(builder.flush()) == []


def test_a_body_holds_one_partition_where_the_destination_asks_for_it():
    builder = BodyBuilder(Limits(FORMAT, single_partition=True))
    assert list(builder.add(rows(0, 1, "a", "a"))) == []
    (closed,) = builder.add(rows(1, 7, "a"))
    assert offsets(closed) == [1, 2]
    assert [offsets(body) for body in builder.flush()] == [[7]]


def test_a_body_holds_one_route():
    builder = BodyBuilder(Limits(FORMAT, routes={"a": "index-a"}))
    assert list(builder.add(rows(0, 0, "a", "b", "a", "c"))) == []
    assert [offsets(body) for body in builder.flush()] == [[0, 2], [1, 3]]


def test_of_many_routes_the_largest_body_is_closed_before_they_are_too_large_together():
    builder = BodyBuilder(Limits(FORMAT, routes={"a": "1", "b": "2"}, in_flight_bytes=1))
    closed = list(builder.add(rows(0, 0, "a", "b", "a", "b", size=20)))
    assert closed
    left = list(builder.flush())
    assert sorted(offset for body in (*closed, *left) for offset in offsets(body)) == [0, 1, 2, 3]


def test_a_row_that_fits_into_no_body_is_named_and_the_others_go_on():
    builder = BodyBuilder(Limits(FORMAT))
    found = [*builder.add(rows(0, 0, "a", size=4)), *builder.add(rows(0, 1, "a", size=90)), *builder.flush()]
    oversized = [each for each in found if isinstance(each, OversizedRow)]
    assert [offsets(each.rows) for each in oversized] == [[1]]
    assert "90 bytes" in oversized[0].reason
    assert [offsets(each) for each in found if each not in oversized] == [[0]]


@given(bodies=st.lists(st.integers(1, 50), min_size=1, max_size=20), rate=st.integers(1, 40))
def test_the_rate_is_kept_however_large_the_bodies_are(bodies, rate):
    """Before each body, no more events were started than the rate allows for the time since the first."""
    pace, now, started = Pace(rate), 100.0, 0
    for each in bodies:
        now += pace.wait_seconds(now)
        assert started <= rate * (now - 100.0) + 1e-6
        pace.started(each, now)
        started += each


def test_time_without_a_body_is_not_made_up_for():
    pace = Pace(10)
    pace.started(10, 0.0)
    pace.started(10, 60.0)
    assert pace.wait_seconds(60.0) == pytest.approx(1.0)
    assert (pace.max_rows, Pace(None).max_rows, Pace(None).wait_seconds(0.0)) == (10, None, 0.0)


class Routes:
    def __init__(self, problem=None):
        self.problem = problem


def test_a_replay_waits_for_live_events_that_wait_for_the_destination():
    """A live flow that an operator must mend holds up nobody else."""
    free, blocked = RateLimit(), RateLimit()
    blocked.blocked_until = 30.0
    assert "3 s" in live_wait(Routes(), blocked, lambda: 27.0)
    assert "503" in live_wait(Routes(Retry("503")), free, lambda: 27.0)
    assert live_wait(Routes(Paused("403")), free, lambda: 27.0) is None
    assert live_wait(Routes(), blocked, lambda: 31.0) is None
