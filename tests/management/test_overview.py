"""Everything that needs an operator, grouped by cause."""

from hypothesis import given
from hypothesis import strategies as st

from consumer.targets.target import Pause
from management.destination_view import DestinationView
from management.overview import BEHIND_MS, Severity, day_total, find_causes, last_day
from relay.status.model import HourCount, Silence
from relay.timestamps import DAY_MS, HOUR_MS
from tests.support.views import NOW, organization, status, view

REASON = "HOST refuses user and API key (401); check both."


def well(name, **fields):
    """Return an organization that needs nobody."""
    seen = view(name, **fields)
    fresh = status(last_event=NOW - 1, complete_up_to=NOW - 1)
    return type(seen)(seen.organization, fresh, NOW)


def destination(state, reason=None, pause=None, **fields):
    return DestinationView("soc", "http", status(state, reason=reason, **fields), pause, NOW)


def found(organizations=(), destinations=()):
    return [
        (cause.severity, cause.state, [each.name for each in cause.members])
        for cause in find_causes(organizations, destinations)
    ]


def test_all_well_is_no_cause():
    """An active organization with fresh events and an active destination need nobody, and neither does a paused organization."""
    paused = view("paused", "failing", REASON, state="paused")

    assert found([well("acme"), paused], [destination("active")]) == []


def test_one_reason_is_one_cause_however_many_have_it():
    """Reasons that differ in host alone are one line, with all members by name."""
    views = [view(f"site-{number:02}", "failing", REASON) for number in range(58)]
    (cause,) = find_causes(views, ())

    assert (cause.severity, cause.state, len(cause.members)) == (Severity.FAILING, "failing", 58)
    assert cause.members[0].name == "site-00.atlassian.net"
    assert cause.reason == REASON
    assert cause.since == NOW - 180_000


def test_a_cause_of_one_organization_is_in_its_own_words():
    """HOST is a riddle where one host is affected."""
    (cause,) = find_causes([view("acme", "failing", REASON)], ())

    assert cause.reason == "acme.atlassian.net refuses user and API key (401); check both."


def test_a_service_that_does_not_report_is_named_with_its_command():
    """Nobody reports on the organization and the destination: the reader learns which program to look for."""
    organizations = [view("acme", valid_ms=-1)]
    destinations = [DestinationView("soc", "http", None, None, NOW)]
    reasons = {cause.state: cause.reason for cause in find_causes(organizations, destinations)}

    assert "`jira-relay produce`" in reasons["no owner"]
    assert "`jira-relay consume`" in reasons["no consumer"]


def test_the_worst_comes_first_and_then_the_most_frequent():
    """Failing, then waiting, then notices; within one of them the cause with more members."""
    views = [
        view("slow", "waiting", "rate limit"),
        view("a", "failing", "one"),
        view("b", "failing", "two"),
        view("c", "failing", "two"),
        well("key", credential_expires=NOW + 5 * DAY_MS),
        well("old", credential_expires=NOW - 1),
    ]

    assert [(severity.name, state, len(names)) for severity, state, names in found(views)] == [
        ("FAILING", "failing", 2),
        ("FAILING", "failing", 1),
        ("FAILING", "key expired", 1),
        ("WAITING", "waiting", 1),
        ("NOTICE", "key expires soon", 1),
    ]


def test_an_organization_without_owner_needs_somebody_after_a_minute():
    """A producer that died is a failure at once; an organization that was just added has a minute."""
    dead = view("dead", valid_ms=-1)
    new = type(dead)(organization("new", added=NOW - 59_999), None, NOW)
    forgotten = type(dead)(organization("forgotten", added=NOW - 60_000), None, NOW)

    assert found([dead, new, forgotten]) == [
        (Severity.FAILING, "no owner", ["forgotten"]),
        (Severity.FAILING, "no owner", ["dead.atlassian.net"]),
    ]


def test_events_that_are_behind_are_named():
    """Completeness more than an hour old is a cause of an active organization."""
    behind = type(view("x"))(
        organization("behind"), status(last_event=NOW, complete_up_to=NOW - BEHIND_MS - 1), NOW
    )

    assert found([behind]) == [(Severity.WAITING, "behind", ["behind"])]


def silence_of(word, probability=None, **fields):
    return Silence(NOW - 3 * DAY_MS, NOW, word, probability, **fields)


def silent(name, silence, state="active", reason=None):
    last = status(state, last_event=silence.since, complete_up_to=NOW, silence=silence, reason=reason)
    return type(view("x"))(organization(name), last, NOW)


def test_unlikely_silence_is_one_cause_and_quiet_is_none():
    """Each member has its own chance. A feed that gives no answer is failing, and nothing is known of its silence."""
    views = [
        silent("a", silence_of("silent", 0.0004, longest=15 * HOUR_MS)),
        silent("b", silence_of("silent")),
        silent("usual", silence_of("quiet", 0.4)),
        silent("new", silence_of("learning", learning_until=NOW + DAY_MS)),
        silent("broken", silence_of("silent", 0.0004), "failing", "gone"),
    ]
    failing, cause = find_causes(views, ())

    assert (failing.state, [each.name for each in failing.members]) == ("failing", ["broken"])
    assert (cause.severity, cause.state) == (Severity.NOTICE, "silent")
    assert [(each.name, each.detail) for each in cause.members] == [("a", "0.04 %"), ("b", "")]
    assert [each.silence_word for each in views] == ["silent", "silent", "quiet", "learning", "unknown"]


def test_a_silence_is_explained_in_words():
    """The chance, the longest silence before, the end of learning, and the instant up to which anything is known."""
    texts = {
        "a chance of 0.04 %; the longest before was 15 h": silence_of("silent", 0.0004, longest=15 * HOUR_MS),
        "nothing to compare that with": silence_of("silent"),
        "and the source answers; a feed that works is silent for so long with a chance of 40 %": silence_of(
            "quiet", 0.4
        ),
        "learning until 2026-09-22": silence_of("learning", learning_until=NOW + DAY_MS),
    }
    for text, silence in texts.items():
        assert text in silent("acme", silence).silence
    assert silent("acme", silence_of("quiet"), "waiting", "429").silence.startswith(
        "not known since 2026-09-21"
    )
    (cause,) = find_causes([silent("acme", silence_of("silent", 0.0004))], ())
    assert "No event since 2026-09-18T" in cause.reason


def test_each_state_of_a_destination_has_its_severity():
    """A pause by an operator and a start are notices; a pause for a fault and an unknown state are failures."""
    cases = [
        (destination("active", "one partition is held"), Severity.NOTICE, "notice"),
        (destination("active", pause=Pause(NOW, "anna")), Severity.NOTICE, "paused"),
        (destination("starting"), Severity.NOTICE, "starting"),
        (destination("waiting", "busy"), Severity.WAITING, "waiting"),
        (destination("paused", "refused"), Severity.FAILING, "paused"),
        (destination("active", valid_until=NOW - 1), Severity.FAILING, "no consumer"),
        (destination("burning"), Severity.FAILING, "burning"),
    ]
    for seen, severity, state in cases:
        assert found(destinations=[seen]) == [(severity, state, ["soc"])]


def test_lost_ranges_are_a_failure_of_their_own():
    """A destination that is active again does not hide that events are lost."""
    lost = DestinationView("soc", "http", status(), None, NOW, lost_ranges=2)

    assert found(destinations=[lost]) == [(Severity.FAILING, "lost ranges", ["soc"])]


def test_dead_letters_of_the_last_day_are_counted_for_each():
    """Older dead letters are no cause any more."""
    counts = (
        HourCount(NOW - NOW % HOUR_MS, 5, 0, 2),
        HourCount(NOW - NOW % HOUR_MS - 24 * HOUR_MS, 5, 0, 7),
    )
    (cause,) = find_causes((), [destination("active", counts=counts)])

    assert (cause.state, cause.members[0].detail) == ("dead letters", "2")


def test_the_last_day_has_twenty_four_hours_and_no_gap():
    """Hours without a record have zeros; the newest is the last."""
    newest = NOW - NOW % HOUR_MS
    hours = last_day([HourCount(newest, 3, 1, 0), HourCount(newest - 30 * HOUR_MS, 9, 9, 9)], NOW)

    assert [each.hour for each in hours] == [newest - ago * HOUR_MS for ago in range(23, -1, -1)]
    assert sum(each.events for each in hours) == 3


@given(st.lists(st.integers(-30, 2), unique=True), st.integers(0, HOUR_MS - 1))
def test_the_sum_of_a_day_is_that_of_its_hours(hours, into):
    """An hour that is too old or in the future counts in neither."""
    now = NOW - NOW % HOUR_MS + into
    start = now - now % HOUR_MS
    counts = [HourCount(start + hour * HOUR_MS, 1, 2, 3, 4) for hour in sorted(hours)]
    day, total = last_day(counts, now), day_total(counts, now)

    for name in ("events", "late", "dead_letters", "skipped"):
        assert getattr(total, name) == sum(getattr(each, name) for each in day)
