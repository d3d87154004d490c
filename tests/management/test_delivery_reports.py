"""The age of the oldest event and the retries of a destination, as all its consumers report them."""

import pytest

from consumer.targets.target import Pause
from management.delivery_reports import DeliverySummary, summarize_deliveries
from management.destination_day import Retries
from management.destination_view import DestinationView, lag_text
from management.destinations import view_destinations, view_unlisted
from relay.status.model import DeliveryReport, RecentEvents, RetriedRequest
from tests.support.views import NOW, status

NO_RETRIES = Retries(0, NOW, None)
SUMMARY = DeliverySummary(135.0, Retries(3, NOW - 60_000, RetriedRequest(NOW, "busy")))


def process(*deliveries, **fields):
    return status(deliveries=deliveries, **fields)


def test_the_oldest_event_is_that_of_all_processes_and_retries_are_added():
    """The age is that at the time of each report; one process that does not know it makes it unknown."""
    first = DeliveryReport("soc", NOW - 9, True, NOW - 5_000, 2, RetriedRequest(NOW - 8, "late"))
    second = DeliveryReport("soc", NOW - 7, True, NOW - 90_000, 1, RetriedRequest(NOW - 9, "early"))
    idle, other = DeliveryReport("soc", NOW, True), DeliveryReport("other", NOW, False)
    statuses = {
        "consume/a-1": process(first, other),
        "consume/b-2": process(second, at=NOW - 4_000),
        "consume/c-3": process(idle),
        "consume/dead-4": process(DeliveryReport("soc", 1, False), valid_until=NOW - 1),
        "destination/soc": status(),
    }
    found = summarize_deliveries(statuses, NOW)
    assert found["soc"] == DeliverySummary(86.0, Retries(3, NOW - 9, RetriedRequest(NOW - 8, "late")))
    assert found["other"].lag_seconds is None
    unknown = statuses | {"consume/e-5": process(DeliveryReport("soc", NOW, False))}
    assert summarize_deliveries(unknown, NOW)["soc"].lag_seconds is None
    assert summarize_deliveries({"consume/c-3": process(idle)}, NOW)["soc"].lag_seconds == 0.0
    ahead = DeliveryReport("soc", NOW, True, NOW + 60_000)
    waiting = summarize_deliveries({"consume/c-3": process(ahead)}, NOW)["soc"].lag_seconds
    assert waiting is not None
    assert waiting > 0, "an event waits, whose producer has a clock that is ahead"


def test_the_rate_is_the_sum_of_all_processes():
    """Each has counted for its own time; one that does not know its rate makes it unknown."""
    first = DeliveryReport("soc", NOW, True, recent=RecentEvents(600, 60_000))
    second = DeliveryReport("soc", NOW, True, recent=RecentEvents(5, 10_000))
    statuses = {"consume/a-1": process(first), "consume/b-2": process(second)}
    assert summarize_deliveries(statuses, NOW)["soc"].events_per_second == 10.5
    young = statuses | {"consume/c-3": process(DeliveryReport("soc", NOW, True))}
    assert summarize_deliveries(young, NOW)["soc"].events_per_second is None
    old = statuses | {"consume/c-3": process(reason="destinations soc")}
    assert summarize_deliveries(old, NOW)["soc"].events_per_second is None


def test_a_process_of_an_older_release_makes_an_age_unknown():
    """It reports no delivery, and events of its partitions may wait for hours."""
    report = DeliveryReport("soc", NOW, True, NOW - 5_000)
    statuses = {
        "consume/new-1": process(report, reason="destinations soc, other; Kafka does not report a setting"),
        "consume/old-2": process(reason="destinations lake, soc"),
    }
    found = summarize_deliveries(statuses, NOW)["soc"]
    assert (found.lag_seconds, found.read_seconds) == (None, 5.0)
    gone = statuses | {"consume/old-2": process(reason="destinations lake, soc", valid_until=NOW - 1)}
    assert summarize_deliveries(gone, NOW)["soc"].lag_seconds == 5.0
    other = statuses | {"consume/old-2": process(reason="destinations lake; destinations soc")}
    assert summarize_deliveries(other, NOW)["soc"].lag_seconds == 5.0
    view = DestinationView("soc", "http", status(), None, NOW, delivery=found)
    assert view.lag_seconds_unknown.endswith("waits for 5 s")


@pytest.mark.parametrize(
    ("reported", "pause", "delivery", "reason", "since"),
    [
        (status(), Pause(NOW - 5, "ann"), SUMMARY, "paused", NOW - 5),
        (None, None, SUMMARY, "no consumer", None),
        (status(valid_until=NOW - 1, at=NOW - 7), None, SUMMARY, "no consumer", NOW - 7),
        (status(), None, None, "release", None),
        (status("starting", since=NOW - 3), None, SUMMARY, "has not read", NOW - 3),
        (status(), None, DeliverySummary(None, NO_RETRIES), "has not read", None),
        (status(lag=None), None, DeliverySummary(0.0, NO_RETRIES), "ends of all partitions", None),
    ],
)
def test_an_age_that_is_not_known_says_why_and_since_when(reported, pause, delivery, reason, since):
    """Not one of them may be shown as an age of 0, which is good news."""
    view = DestinationView("soc", "http", reported, pause, NOW, delivery=delivery)
    assert view.lag_seconds is None
    assert reason in view.lag_seconds_unknown
    assert view.lag_seconds_unknown_since == since
    assert view.document()["lag_seconds_unknown"] == view.lag_seconds_unknown


def test_a_known_age_is_in_the_document_and_in_the_tables():
    view = DestinationView("soc", "http", status(lag=1_234), None, NOW, delivery=SUMMARY)
    document = view.document()
    assert (document["lag_seconds"], document["lag_seconds_unknown"]) == (135.0, None)
    assert document["retries"] == {
        "count": 3,
        "since": "2026-09-21T14:12:20.000Z",
        "last": {"at": "2026-09-21T14:13:20.000Z", "reason": "busy"},
    }
    assert lag_text(view) == "1,234 (2 min)"
    assert lag_text(DestinationView("soc", "http", status(lag=0), None, NOW)) == "0"
    assert lag_text(DestinationView("soc", "http", status(), None, NOW)) == ""


def test_views_have_the_deliveries_of_their_destination():
    statuses = {
        "consume/a-1": process(
            DeliveryReport("soc", NOW, True, retries=4), DeliveryReport("hidden", NOW, True, retries=5)
        ),
        "destination/hidden": status(),
    }
    config = type("Config", (), {"kind": "http"})
    (listed,) = view_destinations({"soc": config}, statuses, {}, {}, NOW)
    (unlisted,) = view_unlisted({"soc": config}, statuses, NOW)
    assert (listed.retries.count, unlisted.retries.count) == (4, 5)
