"""The lag of the last day, from samples: pure."""

from dataclasses import replace

from console.graph import age_bars, lag_bars
from console.lag_history import RATE_MS, SLOT_MS, SLOTS, LagHistory
from management.delivery_reports import DeliverySummary
from management.destination_view import DestinationView
from relay.status.model import HourCount
from relay.timestamps import DAY_MS
from tests.support.views import NOW, status

HOUR = NOW - NOW % 3_600_000


def seen(at, lag, events=0, name="soc", seconds=None):
    counts = (HourCount(HOUR, events, 0, 0),)
    reported = None if lag is None else status(lag=lag, counts=counts, valid_until=at + 60_000)
    delivery = DeliverySummary(seconds, 0, at, None)
    return DestinationView(name, "sentinel", reported, None, at, delivery=delivery)


def test_the_most_of_each_quarter_is_kept_for_a_day():
    """A quarter without a report is unknown and not zero; what is older than a day is forgotten."""
    history = LagHistory()
    assert (history.since("soc"), history.events_per_second("soc", NOW)) == (None, None)
    start = NOW - NOW % SLOT_MS
    for at, lag in ((start, 5), (start + 1_000, 70), (start + SLOT_MS, None), (start + 2 * SLOT_MS, 3)):
        history.add([seen(at, lag)], at)
    slots = history.slots("soc", start + 2 * SLOT_MS)
    assert len(slots) == SLOTS
    assert [each.lag for each in slots[-4:]] == [None, 70, None, 3]
    graph = lag_bars(slots)
    assert "now 3, at most 70" in graph
    assert graph.count("<rect") == 2
    assert "Nothing is known yet" in lag_bars(history.slots("other", NOW))

    later = start + DAY_MS + 2 * SLOT_MS
    history.add([seen(later, 1)], later)
    assert history.since("soc") == later
    history.add([seen(later, 1, name="other")], later)
    assert history.since("soc") is None


def test_the_age_of_the_oldest_event_is_kept_beside_the_lag():
    """An age that is not known leaves a hole; an age of 0 does not."""
    history, start = LagHistory(), NOW - NOW % SLOT_MS
    for at, seconds in ((start, 0.0), (start + 2 * SLOT_MS, 7_400.0), (start + 2 * SLOT_MS + 1, None)):
        history.add([seen(at, 5, seconds=seconds)], at)
    slots = history.slots("soc", start + 2 * SLOT_MS)
    assert [each.seconds for each in slots[-3:]] == [0.0, None, 7_400.0]
    graph = age_bars(slots)
    assert "last 2 h, at most 2 h" in graph
    assert graph.count("<rect") == 2
    assert "Nothing is known yet" in age_bars(history.slots("other", NOW))


def test_the_rate_is_that_of_the_last_ten_minutes():
    """Counts that went down, as when an hour leaves them, tell no rate, nor do samples of one instant; a clock set back begins anew."""
    history = LagHistory()
    for number in range(40):
        at = NOW + number * 30_000
        history.add([seen(at, 0, events=600 * number)], at)
    assert history.events_per_second("soc", at) == 20.0
    assert history.events_per_second("soc", at + RATE_MS) is None
    again = LagHistory()
    for events in (1, 7):
        again.add([seen(NOW, 0, events=events)], NOW)
    assert again.events_per_second("soc", NOW) is None  # no time has passed between the two
    history.add([seen(at + 1_000, 0, events=1)], at + 1_000)
    assert history.events_per_second("soc", at + 1_000) is None
    history.add([replace(seen(NOW, 0), now_ms=NOW)], NOW)
    assert history.since("soc") == NOW
