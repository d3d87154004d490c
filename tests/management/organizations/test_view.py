"""The view of an organization: state, key expiry and document."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from management.formatting import age, iso_milliseconds, iso_seconds
from management.organizations.view import OrganizationView
from relay.timestamps import DAY_MS
from tests.support.views import NOW, organization, status


@pytest.mark.parametrize(
    ("left_ms", "words", "within"),
    [
        (0, "2026-09-21: EXPIRED", 0),
        (1, "2026-09-21: in 1 day!!!", 1),
        (DAY_MS, "2026-09-22: in 1 day!!!", 1),
        (DAY_MS + 1, "2026-09-22: in 2 days!!", 7),
        (7 * DAY_MS, "2026-09-28: in 7 days!!", 7),
        (7 * DAY_MS + 1, "2026-09-28: in 8 days!", 30),
        (30 * DAY_MS, "2026-10-21: in 30 days!", 30),
        (30 * DAY_MS + 1, "2026-10-21", None),
    ],
)
def test_the_expiry_of_a_key_is_announced(left_ms, words, within):
    """The list warns 30, 7 and 1 days before a key expires, with one more mark each time."""
    view = OrganizationView(organization(credential_expires=NOW + left_ms), None, NOW)
    assert (view.expiry, view.expires_within_days) == (words, within)


@pytest.mark.parametrize(
    ("reported", "words"),
    [
        (None, "no owner: no producer has reported on it yet"),
        (status(), "active"),
        (status(backfilled_to=NOW - DAY_MS), "active; the backfill has reached 2026-09-20T14:13:20Z"),
        (status("failing", reason="acme: no."), "failing since 2026-09-21T14:12:20Z: no."),
        (status("waiting", reason="429", waiting_until=NOW), "waiting until 2026-09-21T14:13:20Z: 429"),
        (status("paused"), "starting"),
    ],
)
def test_each_state_has_its_words(reported, words):
    """Each state has its own words, and a paused organization is paused whatever its last status says."""
    assert OrganizationView(organization(), reported, NOW).state == words
    assert OrganizationView(organization(state="paused"), reported, NOW).state == "paused"


@pytest.mark.parametrize(
    ("ago_ms", "words"),
    [
        (0, "now"),
        (999, "now"),
        (1_000, "1 s ago"),
        (59_999, "59 s ago"),
        (60_000, "1 min ago"),
        (3_600_000, "1 h ago"),
        (3 * DAY_MS, "3 d ago"),
        (-7_200_000, "in 2 h"),
    ],
)
def test_an_age_has_one_unit(ago_ms, words):
    """An age is in its largest unit, cut to a whole number, before now or after it."""
    assert age(NOW - ago_ms, NOW) == words
    assert age(None, NOW) == ""


@pytest.mark.parametrize(
    ("reported", "word", "reason", "since"),
    [
        (None, "no owner", "no producer has reported on it yet", None),
        (status("failing", reason="acme: no."), "failing", "no.", NOW - 60_000),
        (status("paused"), "starting", "", None),
        (status(reason="The clock is wrong."), "active", "The clock is wrong.", NOW - 60_000),
        (status("asleep"), "asleep", "", NOW - 60_000),
    ],
)
def test_the_parts_of_a_state(reported, word, reason, since):
    """A state has a word, a reason without the name in front, and the time since when it holds."""
    view = OrganizationView(organization(), reported, NOW)
    assert (view.state_word, view.reason, view.since) == (word, reason, since)


def test_an_expired_status_means_no_owner():
    """Of a status record past its validity only the time of writing is shown."""
    view = OrganizationView(organization(), status("failing", reason="no."), NOW + 60_001)
    assert view.state == "no owner: no producer has reported on it since 2026-09-21T14:13:20Z"
    assert view.document()["status"]["valid"] is False


@settings(max_examples=100)
@given(st.integers(-(2**63), 2**63 - 1))
def test_any_instant_has_a_text(ms):
    """Any number of milliseconds can be shown in the table and in the document, since Jira's clock may report any time."""
    view = OrganizationView(organization(), status(last_event=ms), NOW)
    assert view.document()["status"]["last_event"] == iso_milliseconds(ms)
    assert iso_seconds(ms)
