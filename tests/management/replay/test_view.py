"""A replay as an operator sees it."""

from dataclasses import replace

import pytest

from management.replay.signs import SILENT_MS
from management.replay.speed import Speed
from management.replay.texts import counts_text, duration_text, events_text, result_text
from management.replay.view import ReplayView
from relay.replays.job import KnownReplay, ReplayPlace, ReplayProgress, ReplayRange
from tests.support.replays import replay_job
from tests.support.views import NOW

RANGES = (ReplayRange("p.events", 0, 100, 300), ReplayRange("p.events", 1, 0, 200))
PROGRESS = ReplayProgress(
    replay_job().id,
    "running",
    since=NOW - 10_000,
    at=NOW - 1_000,
    owner="host-1",
    started_at=NOW - 11_000,
    read=90,
    sent=80,
    skipped=10,
    places=(ReplayPlace("p.events", 0, 200, ""),),
)


def view(progress=PROGRESS, *, now=NOW, **job):
    fields = {"wished_at": NOW - 12_000, "requested_at": NOW - 12_000, "ranges": RANGES}
    return ReplayView(KnownReplay(replay_job(**fields | job), progress), now)


def in_state(state, **changes):
    return replace(PROGRESS, state=state, **changes)


@pytest.mark.parametrize(
    ("wished", "progress", "state"),
    [
        ("running", None, "waiting"),
        ("running", in_state("waiting"), "waiting"),
        ("running", PROGRESS, "running"),
        ("running", in_state("paused"), "resuming"),
        ("paused", None, "pausing"),
        ("paused", PROGRESS, "pausing"),
        ("paused", in_state("paused"), "paused"),
        ("paused", in_state("paused", at=1), "paused"),
        ("cancelled", in_state("paused"), "cancelling"),
        ("cancelled", PROGRESS, "cancelling"),
        ("cancelled", in_state("cancelled"), "cancelled"),
        ("cancelled", in_state("done"), "done"),
        ("running", in_state("failed", at=1), "failed"),
    ],
)
def test_the_state_is_that_of_the_owner_until_it_has_followed_the_wish(wished, progress, state):
    assert view(progress, wished=wished).state == state


@pytest.mark.parametrize("wished", ["running", "paused", "cancelled"])
@pytest.mark.parametrize("progress", [None, PROGRESS, in_state("waiting"), in_state("paused")])
def test_a_job_that_nobody_works_on_is_never_shown_as_running(wished, progress):
    """After a minute without a sign it is unattended, since the last sign, unless it is paused as wished."""
    if wished == "paused" and progress is not None and progress.state == "paused":
        return
    late = view(progress, now=NOW + SILENT_MS, wished=wished)
    assert late.state == "unattended"
    assert late.since == (NOW - 12_000 if progress is None else NOW - 1_000)
    assert "No consumer" in late.reason
    assert "sentinel" in late.reason
    assert late.seconds_left is None
    assert view(progress, wished=wished).state != "unattended"


@pytest.mark.parametrize(
    ("wished", "words"),
    [
        ("running", "It goes on from its last committed place when a consumer of sentinel runs"),
        ("paused", "It is paused when a consumer of sentinel runs, and sends nothing before"),
        ("cancelled", "It is cancelled when a consumer of sentinel runs, and sends nothing before"),
    ],
)
def test_a_job_that_nobody_works_on_says_what_the_next_consumer_does(wished, words):
    """A cancelled job of a destination that the settings no longer have must not seem to go on."""
    assert words in view(now=NOW + SILENT_MS, wished=wished).reason


def test_a_wish_that_is_newer_than_the_last_sign_is_no_silence():
    """A job that was resumed a moment ago has an owner that showed its last sign before the pause."""
    resumed = view(in_state("paused", at=1), wished_at=NOW - 1_000)
    assert (resumed.state, resumed.since) == ("resuming", NOW - 1_000)


def test_the_progress_is_that_of_the_offsets():
    found = view()
    assert (found.total, found.done, found.fraction) == (400, 100, 0.25)
    assert [(each.range.partition, each.place) for each in found.places] == [(0, 200), (1, 0)]
    assert found.seconds_left == 30.0
    assert view(in_state("done", places=())).fraction == 1.0
    assert view(None).fraction == 0.0


@pytest.mark.parametrize(("lost", "complete"), [(0, True), (1, False)])
def test_a_replay_is_complete_if_it_is_done_and_lost_nothing(lost, complete):
    assert view(in_state("done", lost=lost)).complete == complete
    assert not view(in_state("cancelled")).complete


def test_the_speed_is_that_of_the_last_seconds():
    speed = Speed()
    assert speed.seconds_left(view()) is None
    for second in range(60):
        places = (ReplayPlace("p.events", 0, 100 + (min(50, second)), ""),)
        shown = view(replace(PROGRESS, at=NOW + 1000 * second, read=10 * second, places=places))
        speed.add(shown)
        speed.add(shown)
    assert speed.events_per_second == 10.0
    assert speed.seconds_left(shown) == pytest.approx(350 / (11 / 20), rel=0.1)


def test_a_clock_that_was_set_back_leaves_no_old_speed():
    """The next owner may be another machine, or its clock was mended: the times of both cannot be compared."""
    speed = Speed()
    for second in range(10):
        speed.add(view(replace(PROGRESS, at=NOW + 3_600_000 + 1000 * second, read=10 * second)))
    speed.add(view(replace(PROGRESS, at=NOW, read=100)))
    assert speed.events_per_second is None
    speed.add(view(replace(PROGRESS, at=NOW + 1_000, read=140)))
    assert speed.events_per_second == 40.0


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.4, "0 s"),
        (59.6, "1 min"),
        (61, "1 min 1 s"),
        (3600, "1 h"),
        (7385, "2 h 3 min"),
        (90_000, "1 d 1 h"),
    ],
)
def test_a_duration_has_its_two_largest_units(seconds, text):
    assert duration_text(seconds) == text


def test_the_result_says_what_happened_and_what_to_do():
    ended = in_state(
        "done", finished_at=NOW + 1_000, dead_lettered=1, lost=2, reason="Offsets 1 to 2 are lost."
    )
    text = result_text(view(ended))
    assert "is done: 80 sent, 10 skipped, 1 dead letter, 2 offsets lost, in 12 s." in text
    assert "Offsets 1 to 2 are lost." in text
    assert "--archive" in text
    assert "dead-letters list" in text
    assert "stays at sentinel" in result_text(view(in_state("cancelled", finished_at=NOW)))
    assert counts_text(view(None)) == "0 sent"


def test_the_events_of_a_job_are_named_by_their_window():
    assert (
        events_text(replay_job(by="created", from_ms=0, to_ms=None))
        == "created 1970-01-01T00:00:00Z to the newest"
    )
    assert events_text(replay_job(events=("a/1",))) == "1 single event"
    assert events_text(replay_job(content="dead-letters")) == "dead letters, all"
