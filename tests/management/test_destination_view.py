"""What the list of destinations says of one that is paused."""

import pytest

from consumer.targets.target import Pause
from management.destination_view import UNLISTED, DestinationView
from management.destinations import view_unlisted
from tests.support.views import NOW, status


@pytest.mark.parametrize(
    ("reported", "words"),
    [
        (None, "paused by ann@host"),
        (status(state="paused"), "paused by ann@host"),
        (status(valid_until=NOW - 1), "paused by ann@host"),
        (status(), "paused by ann@host; a consumer still reports active"),
    ],
)
def test_a_consumer_that_does_not_follow_a_pause_is_named(reported, words):
    """One of an earlier release knows no pause, and goes on for all that the list would say."""
    view = DestinationView("soc", "sentinel", reported, Pause(NOW, "ann@host"), NOW)
    assert view.state == "paused"
    assert view.reason.startswith(words)
    assert (";" in view.reason) == (";" in words)


def test_a_destination_that_only_consumers_know_is_named_while_they_report():
    """It says that these settings lack it; one that nobody reports on any more was removed on purpose."""
    statuses = {
        "destination/soc": status(),
        "destination/hidden": status(),
        "destination/gone": status(valid_until=NOW - 1),
        "producer/acme": status(),
    }
    (found,) = view_unlisted({"soc": None}, statuses, NOW)

    assert (found.name, found.kind, found.listed, found.state) == ("hidden", UNLISTED, False, "active")
    assert "the settings of this program do not have it" in found.reason
