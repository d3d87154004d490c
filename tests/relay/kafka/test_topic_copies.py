"""Copies of partitions that are missing or behind: what is said about them, and how they are counted."""

import pytest
import structlog

from relay.kafka.copy_report import CopyReport
from relay.kafka.topic_comparison import ExistingTopic
from relay.kafka.topic_copies import PartitionCopies, copy_problem, count_states
from relay.kafka.topic_facts import TopicFacts

WHOLE = PartitionCopies(0, 1, (1, 2, 3), (3, 1, 2))
SHORT = PartitionCopies(1, 1, (1, 2, 3), (1, 2))
REFUSING = PartitionCopies(2, 1, (1, 2, 3), (1,))
OFFLINE = PartitionCopies(3, -1, (1, 2, 3), (2,))


def facts(**partitions):
    """Return topics of three copies, two of which a write needs."""
    configs = {"min.insync.replicas": "2"}
    return TopicFacts(
        {name: ExistingTopic(len(found), 3, configs, copies=found) for name, found in partitions.items()}
    )


@pytest.mark.parametrize(
    ("partitions", "sentence"),
    [
        ((WHOLE, SHORT), "Copies on broker 3 are not in sync, so the loss of another broker can stop writes. Start broker 3;"),
        (
            (SHORT, REFUSING),
            "Copies on brokers 2 and 3 are not in sync, so Kafka refuses writes (min.insync.replicas is 2). Start brokers 2 and 3;",
        ),
        (
            (WHOLE, OFFLINE),
            "No broker leads some of its partitions, so their records are neither written nor read. Start brokers 1, 2 and 3;",
        ),
    ],
)  # fmt: skip
def test_the_worst_state_is_named_with_the_brokers_to_start(partitions, sentence):
    assert copy_problem(partitions, 2).startswith(sentence)


def test_whole_copies_are_no_problem():
    """A single copy is whole too: the number of replicas is another matter."""
    assert copy_problem([WHOLE, PartitionCopies(1, 1, (1,), (1,))], 2) is None


def test_each_state_includes_the_lighter_ones():
    """As Kafka's own metrics count them: a partition without a leader has too few copies too."""
    counts = count_states([((WHOLE, SHORT, REFUSING, OFFLINE), 2)])

    assert counts == {"under_replicated": 3, "under_min_isr": 2, "offline": 1}


def test_one_copy_is_enough_where_kafka_reports_no_minimum():
    assert count_states([((REFUSING,), 1)]) == {"under_replicated": 1, "under_min_isr": 0, "offline": 0}


def test_a_process_reports_what_is_missing_once_in_its_log_and_its_end():
    """Topics that miss the same copies share a sentence."""
    seen = []
    report = CopyReport(seen.append)
    with structlog.testing.capture_logs() as lines:
        for _ in range(2):
            report.update(facts(events=(WHOLE, SHORT), status=(SHORT,), changes=(WHOLE,)))
        text = report.text
        report.update(facts(events=(WHOLE,)))

    assert text.startswith("events, status: Copies on broker 3 are not in sync")
    assert [line["log_level"] for line in lines] == ["warning", "info"]
    assert lines[1]["before"] == text
    assert report.text is None
    assert [counts["under_replicated"] for counts in seen] == [2, 2, 0]


def test_without_an_answer_nothing_is_known():
    """What was missing may be back, or more may be missing. The next answer is compared with the last one."""
    seen = []
    report = CopyReport(seen.append)
    report.update(facts(events=(SHORT,)))
    with structlog.testing.capture_logs() as lines:
        report.unknown("KafkaConnectionError")
        text = report.text
        report.update(facts(events=(SHORT,)))

    assert text == "Whether copies of the topics are missing is unknown: KafkaConnectionError"
    assert (seen[1], lines) == (None, [])
    assert report.text.startswith("events: Copies on broker 3")
