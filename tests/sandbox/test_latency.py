from dataclasses import dataclass, field

import pytest

from sandbox.destinations.contract import DeliveredRow
from sandbox.latency import LatencyRecorder, LatencySummary, latency_lines, summarize
from simulators.jira_cloud.log import AuditLog, AuditLogEntry


@dataclass
class Peer:
    live: list = field(default_factory=list)

    def rows(self, *, history, start=0):
        assert not history
        return self.live[start:]


def row(number, organization="acme"):
    return DeliveredRow(organization, number, {}, history=False)


def test_a_latency_is_from_visible_in_jira_to_the_first_acceptance():
    """A row that arrives again changes nothing, and neither does one of a record whose visibility is not known."""
    splunk, http = Peer(), Peer()
    recorder = LatencyRecorder({"acme": {1: 1_000, 2: 2_000}}, {"splunk": splunk, "http": http})
    splunk.live += [row(1), row(7), row(1, "globex")]
    recorder.note_new_rows(3_500)
    splunk.live += [row(1), row(2)]
    recorder.note_new_rows(8_000)
    assert recorder.summaries() == {"splunk": LatencySummary(2, 2.5, 6.0)}
    http.live.append(row(2))
    recorder.note_new_rows(1_999)
    assert recorder.summaries()["http"] == LatencySummary(1, 0.0, 0.0)


@pytest.mark.parametrize(
    ("count", "median", "percentile"), [(1, 1, 1), (2, 1, 2), (99, 50, 99), (100, 50, 99), (201, 101, 199)]
)
def test_99_of_100_records_do_not_exceed_the_percentile(count, median, percentile):
    seconds = [float(number) for number in range(count, 0, -1)]
    assert summarize(seconds) == LatencySummary(count, median, percentile)


def test_the_report_has_a_line_for_each_destination():
    found = {"splunk": LatencySummary(1, 2.04, 2.04), "http": LatencySummary(1_200, 3.0, 9.96)}
    assert latency_lines(found) == [
        "Latency from visible in Jira to accepted by splunk: median 2.0 s, 99 % 2.0 s, of 1 live record. Faults count.",
        "Latency from visible in Jira to accepted by http: median 3.0 s, 99 % 10.0 s, of 1,200 live records. Faults count.",
    ]


def test_a_log_knows_from_when_a_record_is_visible():
    """A revealed record is visible since a moment that the log is not told."""
    log = AuditLog()
    for number, visible_at in ((1, 10), (2, 20), (3, None)):
        log.add(AuditLogEntry(number, 5, b"{}"), visible_at)
    log.reveal([2, 3])
    assert log.visible_at == {1: 10}
