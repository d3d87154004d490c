import json

import pytest

from sandbox import expected
from sandbox.destinations.contract import DeliveredRow
from sandbox.destinations.sentinel import compare_row
from sandbox.report import render_report
from sandbox.verdict import DestinationEvidence, Evidence, PublishedEvent, judge

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
    made = {**expected.expected_event(record, organization), "collected": COLLECTED, "mode": mode}
    row = expected.sentinel_row(made)
    stored = {**row, "Unmodeled": json.dumps(row["Unmodeled"])}
    return DeliveredRow(organization, record["id"], stored, mode == "backfill", unacknowledged)


def sentinel(rows):
    """Return the evidence of one destination."""
    return {"sentinel": DestinationEvidence(rows, compare_row)}


def evidence(truth, events=None, rows=None, remarks=()):
    """Return evidence of a complete delivery, unless `events` or `rows` are given."""
    events = [published(one) for one in truth] if events is None else events
    rows = [delivered(one) for one in truth] if rows is None else rows
    return Evidence({"acme": truth}, events, sentinel(rows), remarks)


THREE = [record(1), record(2**33), record(2**40, text="ü")]


def test_a_complete_delivery_passes():
    """Records pass that are in Kafka and at the destination once; ids may repeat in another organization."""
    truth = {"acme": THREE, "globex": [record(1, riskScore=0.5)]}
    verdict = judge(
        Evidence(
            truth,
            [*(published(one) for one in THREE), published(truth["globex"][0], "globex", "backfill")],
            sentinel(
                [*(delivered(one) for one in THREE), delivered(truth["globex"][0], "globex", "backfill")]
            ),
        ),
        NOW,
    )
    assert verdict.passed
    assert render_report(verdict) == [
        "acme: 3 records in Jira, 3 in Kafka, 3 at sentinel.",
        "globex: 1 record in Jira, 1 in Kafka, 1 at sentinel.",
        (
            "PASSED. 4 records in Jira: each is in Kafka exactly once and at sentinel,"
            " with every field unchanged."
        ),
    ]


@pytest.mark.parametrize(
    ("found", "line", "end"),
    [
        (evidence(THREE, [published(THREE[0]), published(THREE[2])]), "  missing in Kafka: 8589934592", "1 missing in Kafka."),
        (evidence(THREE, [published(one) for one in [*THREE, THREE[0]]]), "  more than once in Kafka: 1", "1 more than once in Kafka."),
        (evidence(THREE, rows=[delivered(THREE[0])]), "  missing at sentinel: 8589934592, 1099511627776", "2 missing at sentinel."),
        (
            evidence(THREE, rows=[delivered(one) for one in [*THREE, THREE[0]]]),
            "  repeated at sentinel without a reason: 1",
            "1 repeated at sentinel without a reason.",
        ),
        (
            evidence(THREE, [published(one) for one in [*THREE, record(7)]]),
            "  arrived but not in Jira: 7",
            "1 arrived but not in Jira.",
        ),
        (
            evidence([record(1)], [published(record(1, summary="Other"))]),
            "  changed values in Kafka: record 1, summary",
            "1 with changed values.",
        ),
        (
            evidence([record(1)], rows=[delivered(record(1, riskScore=1))]),
            "  changed values at sentinel: record 1, Unmodeled",
            "1 with changed values.",
        ),
        (
            evidence([record(1)], [published(record(1), mode="backfill")]),
            "  changed values at sentinel: record 1, EventMode, the place",
            "1 with changed values.",
        ),
    ],
)  # fmt: skip
def test_each_defect_fails_the_verdict_and_is_listed_with_its_ids(found, line, end):
    """A record that is missing, repeated, unknown, changed or in the wrong place fails the verdict alone."""
    verdict = judge(found, NOW)
    assert not verdict.passed
    words = render_report(verdict)
    assert line in words
    assert words[-1].startswith("FAILED. ")
    assert words[-1].endswith(f" in Jira: {end}")


def test_a_foreign_message_does_not_fail_the_verdict():
    """A message that is not an event is listed as a remark, and the verdict passes."""
    verdict = judge(evidence(THREE, remarks=("A garbage message.",)), NOW)
    assert verdict.passed
    assert render_report(verdict)[1] == "A garbage message."


def test_each_destination_is_judged_alone():
    """A record that one of two destinations lacks fails the verdict, and the line names that destination."""
    both = {**sentinel([delivered(one) for one in THREE]), "http": DestinationEvidence([], compare_row)}
    verdict = judge(Evidence({"acme": THREE}, evidence(THREE).events, both), NOW)
    assert not verdict.passed
    words = render_report(verdict)
    assert words[0] == "acme: 3 records in Jira, 3 in Kafka, 3 at sentinel, 0 at http."
    assert words[1] == "  missing at http: 1, 8589934592, 1099511627776"
    complete = both | {"http": both["sentinel"]}
    words = render_report(judge(Evidence({"acme": THREE}, evidence(THREE).events, complete), NOW))
    assert "each is in Kafka exactly once and at sentinel and http, with" in words[-1]


def test_a_lost_answer_explains_one_repeat():
    """One repeat after a lost answer passes and is listed; a second repeat fails."""
    rows = [delivered(THREE[0], unacknowledged=True), *(delivered(one) for one in THREE)]
    verdict = judge(evidence(THREE, rows=rows), NOW)
    assert verdict.passed
    assert "sent again to sentinel after a lost answer: 1; their key" in render_report(verdict)[0]
    assert not judge(evidence(THREE, rows=[*rows, delivered(THREE[0])]), NOW).passed


def test_a_record_of_the_future_does_not_have_to_arrive():
    """Such a record is counted apart; if it arrived, its fields must be right."""
    later = record(9, "2126-01-01T00:00:00.000+0000")
    verdict = judge(
        Evidence({"acme": [*THREE, later]}, evidence(THREE).events, evidence(THREE).destinations), NOW
    )
    assert verdict.passed
    assert render_report(verdict)[-1].endswith(" 1 record in the future did not have to arrive yet.")
    assert judge(Evidence({"acme": [later]}, [published(later)], sentinel([])), NOW).passed
    assert not judge(
        Evidence({"acme": [later]}, [published({**later, "summary": "x"})], sentinel([])), NOW
    ).passed


def test_long_lists_of_ids_are_shortened():
    """A line lists twenty ids, and the number of the others."""
    many = [record(number) for number in range(100, 200)]
    words = render_report(judge(evidence(many, []), NOW))
    assert words[1] == f"  missing in Kafka: {', '.join(map(str, range(100, 120)))} and 80 more"
