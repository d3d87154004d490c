"""The progress of a redrive of producers' letters, made of their reports."""

from dataclasses import replace

import pytest

from management.replay.texts import counts_text, result_text
from management.replay.view import ReplayView
from relay.replays.job import KnownReplay, ReplaySkip
from relay.replays.refill import RefillProgress
from relay.replays.unreadable import PUBLISHED_BEFORE, progress_of_reports
from tests.support.replays import replay_job

JOB = replay_job(content="unreadable", destination="producers", organizations=("acme", "beta"))
AT = JOB.requested_at + 5_000
ACME = RefillProgress(
    JOB.id, "acme", "done", AT, AT, None, events=4, unreadable=3, known=2, skips=(ReplaySkip("odd", 3),)
)
BETA = RefillProgress(
    JOB.id, "beta", "running", AT, AT + 1_000, None, events=1, skips=(ReplaySkip("odd", 1),)
)


def progress(*parts, **job):
    return progress_of_reports(replace(JOB, **job), {each.organization: each.to_value() for each in parts})


def test_counts_are_those_of_all_organizations():
    """A letter that was only marked is skipped with a reason of its own, so that `sent` is what was published."""
    found = progress(ACME, BETA)
    assert (found.state, found.sent, found.skipped, found.read, found.at) == ("running", 5, 6, 11, AT + 1_000)
    assert found.skips == (ReplaySkip(PUBLISHED_BEFORE, 2), ReplaySkip("odd", 4))
    assert counts_text(ReplayView(KnownReplay(JOB, found), AT)) == "5 published, 6 skipped"


def test_it_is_done_when_every_organization_is_and_keeps_what_they_say():
    done = replace(BETA, state="done", reason="A batch cannot be read.", lost=3)
    found = progress(ACME, done)
    assert (found.state, found.reason, found.lost, found.finished_at) == (
        "done",
        "A batch cannot be read.",
        3,
        AT + 1_000,
    )
    text = result_text(ReplayView(KnownReplay(JOB, found), AT))
    assert "--archive" not in text
    assert "dead-letters list" in text


@pytest.mark.parametrize(
    ("parts", "state", "words"),
    [
        ((), None, None),
        ((ACME,), "waiting", "beta is not begun"),
        ((ACME, replace(BETA, reason="beta is paused.")), "waiting", "beta is paused."),
        ((replace(ACME, state="running", reason="no key"), BETA), "running", "no key"),
    ],
)
def test_organizations_that_hold_it_up_are_named(parts, state, words):
    """A deleted organization has no producer, so it never begins; it is named, and the others go on."""
    found = progress(*parts)
    assert (found and found.state) == state
    assert words is None or words in found.reason


@pytest.mark.parametrize("parts", [(), (ACME,), (ACME, BETA)])
@pytest.mark.parametrize("wish", ["paused", "cancelled"])
def test_a_wish_counts_at_once(parts, wish):
    found = progress(*parts, wished=wish, wished_at=AT + 9)
    assert (found.state, found.since, found.ended) == (wish, AT + 9, wish == "cancelled")
    view = ReplayView(KnownReplay(replace(JOB, wished=wish, wished_at=AT + 9), found), AT + 10)
    assert (view.state, view.ended) == (wish, wish == "cancelled")


def test_one_that_ended_stays_done_whatever_is_wished_since():
    assert progress(ACME, replace(BETA, state="done"), wished="cancelled").state == "done"


def test_a_job_that_no_producer_takes_says_so():
    view = ReplayView(KnownReplay(JOB), JOB.wished_at + 120_000)
    assert (view.state, "producers run" in view.reason) == ("unattended", True)
    view = ReplayView(KnownReplay(JOB, progress(ACME)), AT + 120_000)
    assert (view.state, "beta is not begun" in view.reason) == ("unattended", True)


def test_a_report_of_a_later_release_is_waited_for():
    assert progress_of_reports(JOB, {"acme": b"later", "beta": BETA.to_value()}).state == "running"
