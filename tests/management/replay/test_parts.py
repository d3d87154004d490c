"""The producers' part of a refill, as an operator sees it."""

from dataclasses import replace

from management.replay.documents import part_documents
from management.replay.parts import PART_TITLES, parts_of
from management.replay.texts import result_text
from management.replay.view import ReplayView
from relay.replays.job import KnownReplay, ReplayProgress
from relay.replays.refill import RefillProgress, UnreadRange
from relay.timestamps import parse_iso
from tests.support.replays import replay_job

NOW = parse_iso("2026-11-30T09:00Z").ms
JOB = replay_job(content="refill", organizations=("globex", "acme", "initech", "hooli"))
ACME = RefillProgress(JOB.id, "acme", "running", NOW - 5_000, NOW, "acme is paused.", NOW - 60_000, 1_200, 3)
LEFT_OUT = "globex fails to serve some of its records; they are left out."
GLOBEX = replace(
    ACME, organization="globex", state="done", reason=LEFT_OUT, unread=(UnreadRange(NOW, NOW + 1),)
)
REPORTS = {"acme": ACME.to_value(), "globex": GLOBEX.to_value(), "hooli": b"?"}
DONE = ReplayProgress(JOB.id, "done", NOW, NOW, "host-1", NOW, sent=7, finished_at=NOW)


def test_each_organization_of_the_job_has_a_part_in_its_order():
    parts = parts_of(KnownReplay(JOB, None, REPORTS))
    assert [(each.organization, each.state) for each in parts] == [
        ("globex", "done"),
        ("acme", "running"),
        ("initech", "not begun"),
        ("hooli", "unknown"),
    ]
    assert dict(zip(PART_TITLES, parts[1].cells(), strict=True)) == {
        "organization": "acme",
        "state": "running",
        "since": "2026-11-30T08:59:55Z",
        "read to": "2026-11-30T08:59:00Z",
        "events": "1,200",
        "unreadable": "3",
        "reason": "acme is paused.",
    }
    assert parts[2].cells() == ("initech", "not begun", "", "", "0", "0", "")


def test_a_part_is_a_document():
    first, _, third, _ = part_documents(ReplayView(KnownReplay(JOB, None, REPORTS), NOW))
    assert first["unread"] == [{"start": "2026-11-30T09:00:00.000Z", "end": "2026-11-30T09:00:00.001Z"}]
    assert (first["read_to"], first["reason"]) == ("2026-11-30T08:59:00.000Z", LEFT_OUT)
    assert (third["since"], third["read_to"], third["events"]) == (None, None, 0)


def test_a_refill_whose_source_failed_is_not_complete_and_says_what_is_left_out():
    """It has no lost offsets, and its consumer has delivered all that there is."""
    done = {
        name: replace(GLOBEX, organization=name, unread=(), reason=None).to_value()
        for name in JOB.organizations
    }
    whole = ReplayView(KnownReplay(JOB, DONE, done), NOW)
    assert (whole.complete, whole.reason) == (True, "")
    view = ReplayView(KnownReplay(JOB, DONE, done | {"globex": GLOBEX.to_value()}), NOW)
    assert (view.complete, view.reason) == (False, LEFT_OUT)
    assert LEFT_OUT in result_text(view)
    assert LEFT_OUT not in ReplayView(KnownReplay(JOB, replace(DONE, state="running"), REPORTS), NOW).reason


def test_of_many_shortfalls_three_are_named():
    names = [f"org{number}" for number in range(5)]
    reports = {name: replace(GLOBEX, organization=name, reason=f"{name} lacks.").to_value() for name in names}
    view = ReplayView(KnownReplay(replace(JOB, organizations=tuple(names)), DONE, reports), NOW)
    assert view.reason.startswith("org0 lacks. org1 lacks. org2 lacks. 2 more organizations lack something")
    assert f"jira-relay replay show {JOB.id}" in view.reason
