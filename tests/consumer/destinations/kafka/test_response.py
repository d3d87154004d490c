"""Answers of brokers, one by one."""

from itertools import count

import pytest

from consumer.destinations.kafka import response
from consumer.destinations.kafka.response import Place
from consumer.destinations.outcome import Partial, Paused, Retry, Sent
from management.runbook.code_texts import kafka_errors
from relay.kafka.external_topics import (
    NOT_SENT,
    BatchLimits,
    ClusterAccess,
    KafkaUnreachableError,
    TopicAccess,
    WriteError,
)

PLACE = Place("soc", "jira", "kafka-1:9092")
INITIAL = BatchLimits(900_000)


def refused(code, records=3, size=600, text=""):
    return WriteError("refused", code, text, records, size)


def classify(*results):
    return response.classify(results, PLACE)


def test_confirmed_records_are_sent():
    assert classify(None, None) == Sent()


@pytest.mark.parametrize("code", [-1, 2, 5, 6, 7, 8, 9, 13, 19, 20, 45, 47, 49, 56, 59, 74, 75, 89, 90])
def test_a_passing_code_is_a_retry(code):
    """Nothing was written, and nothing has to be changed."""
    outcome = classify(refused(code), refused(code))
    assert isinstance(outcome, Retry)
    assert "jira" in outcome.reason


@pytest.mark.parametrize(
    ("code", "remedy"),
    [
        (3, "Create the topic"),
        (17, "destinations.soc.topic"),
        (29, "Grant the relay's user Write"),
        (31, "IdempotentWrite"),
        (35, "Upgrade"),
        (43, "message format"),
        (44, "policy"),
        (76, "destinations.soc.compression"),
        (99, "error code 99"),
    ],
)
def test_a_code_of_the_configuration_pauses(code, remedy):
    """The reason names the topic and the remedy; an unknown code pauses too."""
    outcome = classify(refused(code), NOT_SENT)
    assert isinstance(outcome, Paused)
    assert remedy in outcome.reason
    assert "NAME" not in outcome.reason


@pytest.mark.parametrize(
    ("code", "word"),
    [(10, "max.message.bytes"), (18, "max.message.bytes"), (32, "message.timestamp"), (87, "log")],
)
def test_a_record_that_is_refused_alone_is_rejected(code, word):
    """The records behind it go on at once, and accepted ones are not sent again."""
    outcome = classify(None, refused(code, records=1, text="bad\nrecord"), NOT_SENT)
    assert isinstance(outcome, Partial)
    assert list(outcome.rejected) == [1]
    assert word in outcome.rejected[1]
    assert "bad record" in outcome.rejected[1]
    assert (outcome.retry, outcome.unprocessed) == (frozenset({2}), True)


@pytest.mark.parametrize("code", [10, 18, 32, 87])
def test_a_batch_that_is_refused_is_divided(code):
    """No record is rejected for others of its batch; nothing is wrong with the cluster."""
    outcome = classify(refused(code), refused(code), refused(code))
    assert outcome == Partial({}, frozenset({0, 1, 2}), reason=outcome.reason, unprocessed=True)


def test_a_fault_beside_accepted_records_repeats_none_of_them():
    """Rows of another partition were stored; only the others are sent again, after a wait."""
    outcome = classify(None, refused(29, records=1), NOT_SENT)
    assert (outcome.retry, outcome.rejected, outcome.unprocessed) == (frozenset({1, 2}), {}, False)
    assert outcome.as_retry() is not None
    assert "TOPIC_AUTHORIZATION_FAILED" in outcome.reason


def test_a_refused_record_beside_an_unanswered_batch_is_no_reason_to_hurry():
    """What is not answered waits, and the refused record is rejected."""
    outcome = classify(refused(87, records=1), WriteError("unanswered", records=1))
    assert (list(outcome.rejected), outcome.retry, outcome.unprocessed) == ([0], frozenset({1}), False)


def test_the_known_cause_of_a_silence_is_the_reason():
    unanswered = (WriteError("unanswered", records=1), NOT_SENT)
    assert isinstance(response.classify(unanswered, PLACE), Retry)
    problem = Paused("the password is wrong")
    assert response.classify(unanswered, PLACE, problem) == problem
    assert response.classify((NOT_SENT, NOT_SENT), PLACE, problem) == problem
    outcome = response.classify((None, NOT_SENT), PLACE, problem)
    assert (outcome.retry, outcome.reason) == (frozenset({1}), problem.reason)


def test_batches_shrink_until_the_bad_record_is_alone():
    """A refusal of the content of n records costs less than log n rounds more, and later batches are large again."""
    limits, rounds = INITIAL, count()
    size = 1000
    while size > 1:
        limits = response.next_limits(limits, [refused(87, records=size)] * size, INITIAL)
        assert limits.max_records < size
        size = limits.max_records
        assert next(rounds) < 4
    assert response.next_limits(limits, [refused(87, records=1)], INITIAL) == INITIAL


def test_a_batch_size_that_a_topic_refuses_is_not_tried_again():
    """The bytes stay halved, also after a success."""
    limits = response.next_limits(INITIAL, [refused(10, records=50, size=40_000)], INITIAL)
    assert limits.max_bytes == 20_000
    assert response.next_limits(limits, [None], INITIAL) == limits
    assert response.next_limits(limits, [refused(10, records=1, size=40_000)], INITIAL) == limits


def access(**topics):
    return ClusterAccess("id", topics)


@pytest.mark.parametrize(
    ("found", "word"),
    [
        (access(), "UNKNOWN_TOPIC_OR_PARTITION"),
        (access(jira=TopicAccess(3)), "Create the topic"),
        (access(jira=TopicAccess(29)), "Grant"),
        (access(jira=TopicAccess(0, frozenset({"Describe", "Read"}))), "Grant"),
        (access(jira=TopicAccess(17)), "INVALID_TOPIC"),
    ],
)
def test_a_topic_that_cannot_be_written_to_pauses(found, word):
    problem = response.access_problem(found, ["jira"], "soc", "kafka-1:9092")
    assert isinstance(problem, Paused)
    assert word in problem.reason


def test_a_topic_is_usable_where_the_broker_reports_no_rights():
    assert response.access_problem(access(jira=TopicAccess(0)), ["jira"], "soc", "c") is None
    assert response.access_problem(access(jira=TopicAccess(5)), ["jira"], "soc", "c") is None


def test_a_refused_connection_pauses_and_an_absent_broker_does_not():
    assert isinstance(
        response.unreachable(KafkaUnreachableError("x", refused=True), PLACE, own=False), Paused
    )
    assert isinstance(response.unreachable(KafkaUnreachableError("x"), PLACE, own=True), Retry)


def test_a_quota_is_named():
    assert "producer_byte_rate" in response.unconfirmed(PLACE, 40, 3.0).reason
    assert "min.insync.replicas" in response.unconfirmed(PLACE, 40).reason


def test_every_message_about_a_connection_names_the_settings_of_the_destination():
    """The diagnosis speaks of the group kafka, which has the relay's own connection."""
    for _, text in kafka_errors():
        shown = response.in_settings_of("soc", text)
        assert "kafka." not in shown, text
        assert "restart" not in shown
    host = "Kafka at kafka.example.com:9092 refuses the connection. Check kafka.bootstrap, and whether Kafka runs."
    assert response.in_settings_of("soc", host) == host.replace(
        "kafka.bootstrap,", "destinations.soc.bootstrap_servers,"
    )
    assert "destinations.soc.sasl_password" in response.in_settings_of("soc", "check kafka.sasl_password.")
    own = response.unreachable(KafkaUnreachableError("check kafka.bootstrap"), PLACE, own=True)
    assert own.reason == "check kafka.bootstrap"


def test_a_call_that_raised_an_error_is_a_retry_unless_its_code_needs_an_operator():
    """A number of the operating system is no code of Kafka's protocol."""
    refusal = TopicAuthorizationFailed("no right")
    assert isinstance(response.failure(refusal, PLACE), Paused)
    for error in (OSError(3, "No such process"), TimeoutError(), RuntimeError("x")):
        assert isinstance(response.failure(error, PLACE), Retry)
    assert "did not answer" in response.failure(TimeoutError(), PLACE).reason


class TopicAuthorizationFailed(Exception):
    """An error with a code, as aiokafka raises it."""

    errno = 29
