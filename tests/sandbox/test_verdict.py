import json

import pytest

from sandbox import expected
from sandbox.report import render_report
from sandbox.verdict import DeliveredRow, Evidence, PublishedEvent, judge

NOW = expected.created_ms({"created": "2026-11-23T10:00:00.000+0000"})
COLLECTED = NOW - 500


def record(number, created="2026-11-23T09:00:00.000+0000", **fields):
    return {"id": number, "created": created, "summary": f"Something {number}", **fields}


def event(record, organization="acme", mode="live"):
    made = {**expected.expected_event(record, organization), "collected": COLLECTED, "mode": mode}
    return {**made, "unmodeled": json.dumps(made["unmodeled"])}


def published(record, organization="acme", mode="live"):
    return PublishedEvent(organization, event(record, organization, mode), mode == "backfill")


def delivered(record, organization="acme", mode="live", *, unacknowledged=False):
    row = expected.expected_row(expected.expected_event(record, organization), COLLECTED, mode)
    return DeliveredRow(
        {**row, "Unmodeled": json.dumps(row["Unmodeled"])}, mode == "backfill", unacknowledged
    )


def evidence(truth, events=None, rows=None, remarks=()):
    """Everything as it should be, unless `events` or `rows` say otherwise."""
    events = [published(one) for one in truth] if events is None else events
    rows = [delivered(one) for one in truth] if rows is None else rows
    return Evidence({"acme": truth}, events, rows, remarks)


THREE = [record(1), record(2**33), record(2**40, text="ü")]


def test_everything_once_and_as_it_was_passes():
    """Two organizations may use the same ids; history stands in its own topic and table."""
    truth = {"acme": THREE, "globex": [record(1, riskScore=0.5)]}
    verdict = judge(
        Evidence(
            truth,
            [*(published(one) for one in THREE), published(truth["globex"][0], "globex", "backfill")],
            [*(delivered(one) for one in THREE), delivered(truth["globex"][0], "globex", "backfill")],
        ),
        NOW,
    )
    assert verdict.passed
    assert render_report(verdict) == [
        "acme: 3 records happened, 3 in Kafka, 3 at the sink.",
        "globex: 1 record happened, 1 in Kafka, 1 at the sink.",
        "PASSED. 4 records happened: each is in Kafka once and at the sink, every field as it was.",
    ]


@pytest.mark.parametrize(
    ("found", "line", "end"),
    [
        (evidence(THREE, [published(THREE[0]), published(THREE[2])]), "  missing in Kafka: 8589934592", "1 missing in Kafka."),
        (evidence(THREE, [published(one) for one in [*THREE, THREE[0]]]), "  more than once in Kafka: 1", "1 more than once in Kafka."),
        (evidence(THREE, rows=[delivered(THREE[0])]), "  missing at the sink: 8589934592, 1099511627776", "2 missing at the sink."),
        (
            evidence(THREE, rows=[delivered(one) for one in [*THREE, THREE[0]]]),
            "  repeated at the sink without a reason: 1",
            "1 repeated at the sink without a reason.",
        ),
        (
            evidence(THREE, [published(one) for one in [*THREE, record(7)]]),
            "  arrived, but never happened: 7",
            "1 that never happened.",
        ),
        (
            evidence([record(1)], [published(record(1, summary="Other"))]),
            "  other values in Kafka: record 1, summary",
            "1 with other values than they had.",
        ),
        (
            evidence([record(1)], rows=[delivered(record(1, riskScore=1))]),
            "  other values in the sink: record 1, Unmodeled",
            "1 with other values than they had.",
        ),
        (
            evidence([record(1)], [published(record(1), mode="backfill")]),
            "  other values in the sink: record 1, EventMode, the table",
            "1 with other values than they had.",
        ),
    ],
)  # fmt: skip
def test_whatever_is_wrong_is_named_with_its_ids(found, line, end):
    """Missing, repeated, unknown, changed, in the wrong place: each fails the verdict alone."""
    verdict = judge(found, NOW)
    assert not verdict.passed
    words = render_report(verdict)
    assert line in words
    assert words[-1].startswith("FAILED. ")
    assert words[-1].endswith(f"; {end}")


def test_what_is_no_record_is_told_and_loses_nothing():
    """Garbage that somebody put on a topic is no reason to fail."""
    verdict = judge(evidence(THREE, remarks=("A garbage message.",)), NOW)
    assert verdict.passed
    assert render_report(verdict)[1] == "A garbage message."


def test_a_repeat_that_a_lost_answer_explains_is_told_and_passes():
    """At the sink the promise is at least once; one lost answer explains one repeat."""
    rows = [delivered(THREE[0], unacknowledged=True), *(delivered(one) for one in THREE)]
    verdict = judge(evidence(THREE, rows=rows), NOW)
    assert verdict.passed
    assert "because an answer was lost: 1; EventUid" in render_report(verdict)[0]
    assert not judge(evidence(THREE, rows=[*rows, delivered(THREE[0])]), NOW).passed


def test_what_lies_in_the_future_is_not_expected_yet():
    """It is told apart; one that came all the same has to be right."""
    later = record(9, "2126-01-01T00:00:00.000+0000")
    verdict = judge(Evidence({"acme": [*THREE, later]}, evidence(THREE).events, evidence(THREE).rows), NOW)
    assert verdict.passed
    assert render_report(verdict)[-1].endswith(
        " 1 more will come when their time has come: they lie in the future."
    )
    assert judge(Evidence({"acme": [later]}, [published(later)], []), NOW).passed
    assert not judge(Evidence({"acme": [later]}, [published({**later, "summary": "x"})], []), NOW).passed


def test_long_lists_are_shortened():
    """Twenty ids tell enough."""
    many = [record(number) for number in range(100, 200)]
    words = render_report(judge(evidence(many, []), NOW))
    assert words[1] == f"  missing in Kafka: {', '.join(map(str, range(100, 120)))} and 80 more"
