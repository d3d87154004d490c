"""The verdict on the replay of a sandbox: exactly the window, and live untouched."""

import json
from dataclasses import replace
from types import SimpleNamespace

import pytest

from sandbox import expected
from sandbox.destinations.contract import DeliveredRow
from sandbox.destinations.sentinel import compare_row
from sandbox.evidence import found_at
from sandbox.replay import middle
from sandbox.replay_verdict import PlayedReplay, ReplayEvidence, RowCounts
from sandbox.report import render_report
from sandbox.verdict import DestinationEvidence, Evidence, PublishedEvent, judge

NOW = expected.created_ms({"created": "2026-11-23T10:00:00.000+0000"})
RECORDS = [
    {"id": number, "created": "2026-11-23T09:00:00.000+0000", "summary": f"Something {number}"}
    for number in range(1, 9)
]
PLAYED = PlayedReplay("20261123-100000-ab12", NOW + 3, NOW + 6, "done", RowCounts(8, 0))
"""Its window has the records 3, 4 and 5: record n was collected n ms after NOW."""


def made(number, mode):
    event = expected.expected_event(RECORDS[number - 1], "acme")
    return {**event, "collected": NOW + number, "mode": mode}


def row(number, mode="replay", **changes):
    content = expected.sentinel_row(made(number, mode)) | changes
    stored = {**content, "Unmodeled": json.dumps(content["Unmodeled"])}
    return DeliveredRow("acme", number, stored, history=mode != "live")


def published(number):
    event = made(number, "live")
    return PublishedEvent("acme", {**event, "unmodeled": json.dumps(event["unmodeled"])}, history=False)


def verdict(history, live=(), *, state="done", keeps_one_copy=False, earlier=()):
    found = ReplayEvidence(replace(PLAYED, state=state), live, history, keeps_one_copy)
    rows = [*(row(number, "live") for number in range(1, 9)), *earlier]
    events = [published(number) for number in range(1, 9)]
    destinations = {"sentinel": DestinationEvidence(rows, compare_row, found)}
    return judge(Evidence({"acme": RECORDS}, events, destinations), NOW + 100)


def test_a_replay_that_somebody_started_is_left_out_of_the_verdict():
    """Its rows name it, in whatever place; a peer that keeps one copy has those of its history for the played one too."""
    others = [row(number, ReplayId="20261123-095900-cd34") for number in (1, 4)]
    others.append(replace(row(2, "live", nested={"unmapped": ["20261123-095900-cd34"]})))
    live = [row(number, "live") for number in range(1, 9)]

    def peer(*, keeps_one_copy, window):
        rows = {False: [*live, others[2]], True: [*others[:2], *map(row, window)]}
        return SimpleNamespace(
            rows=lambda *, history: rows[history], compare=compare_row, keeps_one_copy=keeps_one_copy
        )

    played = replace(PLAYED, before=RowCounts(9, 2))
    for keeps_one_copy, window in ((False, (3, 4, 5)), (True, (3, 5))):
        made_by_hand = peer(keeps_one_copy=keeps_one_copy, window=window)
        found = found_at(made_by_hand, played, {"20261123-095900-cd34"})
        judged = judge(
            Evidence({"acme": RECORDS}, [published(number) for number in range(1, 9)], {"sentinel": found}),
            NOW + 100,
        )
        assert judged.passed, render_report(judged)
        assert len(found.by_hand) == 3
        assert not judge(
            Evidence(
                {"acme": RECORDS},
                [published(number) for number in range(1, 9)],
                {"sentinel": found_at(made_by_hand, played, ())},
            ),
            NOW + 100,
        ).passed


def test_exactly_the_window_passes():
    judged = verdict([row(3), row(4), row(5)])
    assert judged.passed
    *_, line, last = render_report(judged)
    assert line == (
        "Replay 20261123-100000-ab12 into the history of sentinel: exactly the window (3 rows, collected from"
        " 2026-11-23T10:00:00.003Z to 2026-11-23T10:00:00.006Z), live untouched."
    )
    assert last.startswith("PASSED.")


@pytest.mark.parametrize(
    ("history", "options", "words"),
    [
        ([3, 4], {}, "1 missing: acme/5"),
        ([3, 4, 5, 5], {}, "1 repeated: acme/5"),
        ([2, 3, 4, 5], {}, "1 not of the window: acme/2"),
        ([3, 4, 5], {"live": [4]}, "1 rows in live"),
        ([3, 4, 5], {"state": "running"}, "the job is running"),
        ([], {"state": "not ended in time"}, "3 missing"),
    ],
)
def test_any_difference_fails_the_sandbox(history, options, words):
    """The exit code follows from the verdict."""
    options = options | {"live": [row(number, "live") for number in options.get("live", ())]}
    judged = verdict([row(number) for number in history], **options)
    assert not judged.passed
    *_, line, last = render_report(judged)
    assert "NOT EXACT" in line
    assert words in line
    assert last.startswith("FAILED.")
    assert "1 replays that are not exact" in last


@pytest.mark.parametrize("changed", [{"EventMode": "live"}, {"EventMessage": "something else"}])
def test_a_row_with_a_wrong_mode_or_value_fails(changed):
    judged = verdict([row(3), row(4, **changed), row(5)])
    assert f"changed values: acme/4 ({next(iter(changed))})" in render_report(judged)[-2]


def test_a_place_that_keeps_one_copy_has_no_second_one():
    """Only the events that its history did not have are new there."""
    earlier = [row(4, "replay")]
    judged = verdict([row(3), row(5)], keeps_one_copy=True, earlier=earlier)
    assert judged.replays[0].passed
    assert not verdict([row(3), row(5)], earlier=earlier).replays[0].passed


@pytest.mark.parametrize(
    ("times", "window"), [([7], (7, 8)), ([1, 2], (1, 2)), (list(range(100)), (25, 75)), ([1, 9, 9], (1, 9))]
)
def test_the_window_is_the_middle_of_the_times(times, window):
    assert middle(times) == window
