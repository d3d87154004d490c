"""The last day of a destination, from the records of all processes: pure."""

from hypothesis import given
from hypothesis import strategies as st

from console.graph import age_bars, known_bars, lag_bars
from management.destination_day import DestinationDay, Retries, processes_by_destination
from management.destination_view import DestinationView
from relay.status.model import HOUR_MS, DeliveryReport, HourCount, RetriedRequest, delivery_key
from relay.status.slots import SLOT_MS, SLOTS_KEPT
from tests.support.views import NOW, status

HOUR = NOW - NOW % HOUR_MS
BUSY = DeliveryReport("soc", NOW, known=False, last_retry=RetriedRequest(NOW - HOUR_MS, "busy"))


def test_records_find_their_destination_by_their_key():
    """A process has one for each of its destinations; records of other subjects are none."""
    keys = [
        delivery_key("soc", 7),
        "delivery/soc/b-2-3",
        "delivery/lake/a-1-2",
        "consume/soc",
        "producer/soc",
    ]
    found = processes_by_destination({key: status(since=number) for number, key in enumerate(keys)})
    assert {name: [each.since for each in processes] for name, processes in found.items()} == {
        "soc": [0, 1],
        "lake": [2],
    }


def test_what_a_dead_process_counted_stays_and_hours_without_a_report_are_gaps():
    """The graph has no bar for a gap, and the sum does not count it."""
    dead = status(valid_until=NOW - 3 * HOUR_MS).with_counts(NOW - 3 * HOUR_MS, events=5, dead_letters=1)
    idle = status().with_counts(NOW).with_counts(NOW - HOUR_MS, events=2, retries=3)
    history = DestinationDay(status(), (dead, idle.with_counts(NOW - 3 * HOUR_MS, events=1)))
    hours = history.last_day(NOW)
    assert [None if each.count is None else each.count.events for each in hours[-4:]] == [6, None, 2, 0]
    assert history.total(NOW) == HourCount(HOUR - 3 * HOUR_MS, 8, 0, 1, 0, 3)
    graph = known_bars(hours)
    assert graph.count("<rect") == 3
    assert "8 events in 24 hours, at most 6 in one of them; 21 of the hours are not known" in graph
    assert "Nothing is known yet" in known_bars(DestinationDay().last_day(NOW))


def test_hours_that_an_earlier_release_counted_are_in_the_sum():
    """It wrote them to the record of the destination; processes of this release count apart from it."""
    own = status(counts=(HourCount(HOUR, 4, 0, 0), HourCount(HOUR - HOUR_MS, 7, 0, 0)))
    history = DestinationDay(own, (status().with_counts(NOW, events=3),))
    assert [each.events for each in history.counts()] == [7, 7]


def test_retries_are_those_of_all_processes_in_a_day_with_the_last_reason():
    """Since the first hour that is known. Of releases that count none, nothing is known."""
    first = status(deliveries=(BUSY,)).with_counts(NOW - 2 * HOUR_MS, retries=4)
    second = status(valid_until=0).with_counts(NOW, retries=1).with_counts(NOW - 30 * HOUR_MS, retries=9)
    history = DestinationDay(status().with_counts(NOW - 5 * HOUR_MS), (first, second))
    assert history.retries(NOW) == Retries(5, HOUR - 2 * HOUR_MS, BUSY.last_retry)
    later = NOW + 23 * HOUR_MS
    assert history.retries(later) == Retries(1, HOUR, None)
    assert history.retries(NOW + 48 * HOUR_MS) is None
    assert DestinationDay(status().with_counts(NOW)).retries(NOW) is None


def test_a_quarter_has_the_greatest_age_of_all_processes_and_none_that_one_does_not_know():
    """An age of 0 is good news only where the ends of all partitions are known."""
    own = status()
    for ago, lag in ((0, 5), (1, 5), (2, 0), (4, 9)):
        own = own.with_slot(NOW - ago * SLOT_MS, lag=lag)
    first, second = status(), status(valid_until=0)
    for ago, one, other in ((0, 0, 7_400_000), (1, 3, None), (2, 0, 0), (3, 0, 0)):
        first = first.with_slot(NOW - ago * SLOT_MS, age=one)
        second = second.with_slot(NOW - ago * SLOT_MS, age=other)
    slots = DestinationDay(own, (first, second)).slots(NOW)
    assert len(slots) == SLOTS_KEPT
    assert [(each.lag, each.age) for each in slots[-5:]] == [
        (9, None),
        (None, None),
        (0, 0),
        (5, None),
        (5, 7_400_000),
    ]
    assert "last 5, at most 9" in lag_bars(slots)
    assert "last 2 h, at most 2 h" in age_bars(slots)
    assert age_bars(slots).count("<rect") == 2
    assert "Nothing is known yet" in lag_bars(DestinationDay().slots(NOW))


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(-30, 3), st.integers(0, 9))))
def test_any_console_shows_the_same_sum_whichever_process_counted(events):
    """Events of any process at any time count once, in their hour; those of a clock that is ahead come when it is their time."""
    processes = [status() for _ in range(4)]
    for number, hour, count in events:
        processes[number] = processes[number].with_counts(NOW + hour * HOUR_MS, events=count)
    expected = sum(count for _, hour, count in events if -24 < hour <= 0)
    for seen in (processes, processes[::-1]):
        assert DestinationDay(None, seen).total(NOW).events == expected


def test_the_document_of_a_destination_has_its_day_with_null_for_what_is_not_known():
    done = status().with_counts(NOW, events=3, skipped=2).with_slot(NOW, age=1_500)
    view = DestinationView("soc", "http", status().with_slot(NOW, lag=4), None, NOW, processes=(done,))
    document = view.full_document()
    assert document["hours"][-1] == {
        "start": "2026-09-21T14:00:00.000Z",
        "events": 3,
        "skipped": 2,
        "dead_letters": 0,
        "retries": 0,
    }
    assert document["hours"][0]["events"] is None
    assert document["quarters"][-1] == {"start": "2026-09-21T14:00:00.000Z", "lag": 4, "lag_seconds": 1.5}
    assert document["events_per_second"] is None
