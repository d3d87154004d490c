"""What has been read of an organization, in words, and the time that its backfill needs."""

from dataclasses import replace

from management.organizations.view import OrganizationView
from management.organizations.windows import PaceWatch, describe_windows, thinned
from producer.state.checkpoint import IdReuse, new_checkpoint
from producer.state.intervals import TimeRange
from relay.timestamps import DAY_MS
from tests.support.views import NOW, organization, status

HOUR = 3_600_000


def seen(minutes, reached, name="acme"):
    """Return the view of a backfill of a hundred days, some minutes after NOW."""
    at = NOW + minutes * 60_000
    return OrganizationView(
        organization(name, added=NOW, backfill_from=NOW - 100 * DAY_MS),
        status(at=at, valid_until=at + HOUR, backfilled_to=NOW - reached * DAY_MS),
        at,
    )


def test_the_time_left_follows_from_the_pace():
    """Ten days in ten minutes: the other ninety take ninety minutes. A first look knows the part alone."""
    watch = PaceWatch()
    first = watch.pace(seen(0, 0))
    assert (first.part, first.left_ms) == (0.0, None)
    later = watch.pace(seen(10, 10))

    assert (later.part, later.left_ms, later.since) == (0.1, 90 * 60_000, NOW)
    assert watch.pace(seen(10, 100, name="other")).left_ms is None


def test_only_the_last_hour_counts_for_the_pace():
    """A backfill that was slow at first is not expected to stay so; one without progress has no time left to tell."""
    watch = PaceWatch()
    for minutes, reached in ((0, 1), (90, 2), (100, 22)):
        found = watch.pace(seen(minutes, reached))
    assert (found.since, found.left_ms) == (NOW + 90 * 60_000, 39 * 60_000)
    assert PaceWatch().pace(seen(0, 100)).part == 1.0


def test_a_backfill_that_begins_again_has_a_new_pace():
    """More days are wanted than before: what was reached lies behind."""
    watch = PaceWatch()
    watch.pace(seen(0, 50))
    assert watch.pace(seen(1, 10)).left_ms is None


def test_without_a_backfill_there_is_no_pace():
    """Neither without a status, nor without a request, nor when none is reported."""
    watch, view = PaceWatch(), seen(0, 1)
    assert watch.pace(replace(view, status=None)) is None
    assert watch.pace(replace(view, status=status())) is None
    assert watch.pace(replace(view, organization=organization())) is None


def test_the_watch_is_bounded():
    """A page that stays open for hours makes no list that grows."""
    assert len(thinned([(number, 0) for number in range(121)])) == 61


def test_windows_outages_and_unread_ranges_are_words():
    """The checkpoint names all of them; without one there is nothing to say."""
    checkpoint = replace(
        new_checkpoint("acme", NOW, now=NOW),
        unread_ranges=tuple(TimeRange(number, number + 1) for number in range(0, 60, 2)),
        outage=TimeRange(NOW - DAY_MS, NOW),
        id_reuse=IdReuse(NOW, NOW, 17),
    )
    facts = describe_windows(checkpoint)

    assert describe_windows(None) == []
    assert [each.name for each in facts].count("Unread range") == 20
    assert "10 more." in [each.meaning for each in facts]
    assert any(each.meaning.startswith("17 events since") for each in facts)
    assert facts[0].up_to == NOW
