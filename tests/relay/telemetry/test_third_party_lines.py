import logging

import pytest
import structlog
from aiokafka.errors import KafkaConnectionError

from relay.telemetry.third_party_lines import LogRateLimiter
from tests.support.json_log import lines, set_up_json


def test_lines_of_libraries_have_the_same_form():
    """A line of a library has the same form, and its logger's name."""
    stream = set_up_json()

    logging.getLogger("a.dependency").warning("slow: %s", "very")

    (line,) = lines(stream)
    assert (line["level"], line["message"], line["logger"]) == ("warning", "slow: very", "a.dependency")


def test_libraries_that_log_urls_are_quiet():
    """httpx, azure and similar libraries log nothing below WARNING, whatever the configured level."""
    stream = set_up_json(level="debug")

    for name in (
        "httpx",
        "httpcore.http11",
        "azure.core.pipeline",
        "azure.identity",
        "aiokafka.consumer",
        "msal",
    ):
        logging.getLogger(name).info("GET https://acme.atlassian.net?token=x")
    structlog.get_logger().debug("Ours.")

    assert [line["message"] for line in lines(stream)] == ["Ours."]


class Retriable(Exception):
    retriable = True


class Fatal(Exception):
    retriable = False


TRANSIENT = [
    ("consumer.group_coordinator", "Group Coordinator Request failed: %s", (Retriable("15"),)),
    ("cluster", "Error fetching metadata for topic %s: %s", ("events", Retriable)),
    ("cluster", "Topic %s is not available during auto-create initialization", ("events",)),
    ("cluster", "Topic %s not found in cluster metadata", ("events",)),
    ("consumer.group_coordinator", "Heartbeat failed for group %s because it is rebalancing", ("g",)),
    ("", "Unable connect to node with id %s: %s", (1, OSError("refused"))),
]


@pytest.mark.parametrize(("logger", "message", "values"), TRANSIENT)
@pytest.mark.parametrize("level", ["info", "debug"])
def test_transient_faults_of_kafka_are_at_debug(logger, message, values, level):
    """A line of aiokafka about a fault that it repeats by itself is at debug, as at the first start of a cluster."""
    stream = set_up_json(level=level)

    logging.getLogger(f"aiokafka.{logger}".rstrip(".")).error(message, *values)

    assert [line["level"] for line in lines(stream)] == (["debug"] if level == "debug" else [])


@pytest.mark.parametrize(
    ("logger", "message", "values"),
    [
        ("aiokafka.cluster", "Topic %s is not authorized for this client", ("events",)),
        ("aiokafka.consumer.group_coordinator", "Group Coordinator Request failed: %s", (Fatal("30"),)),
        ("another_package", "Unable connect to %s", ("x",)),
    ],
)
def test_other_faults_of_kafka_remain(logger, message, values):
    """An error that no repetition mends keeps its level, and so does another library's."""
    stream = set_up_json()

    logging.getLogger(logger).error(message, *values)

    assert [line["level"] for line in lines(stream)] == ["error"]


def test_a_traceback_of_a_transient_fault_is_at_debug():
    """While Kafka is away, aiokafka's tasks end with its retriable errors, and the relay starts them again."""
    stream = set_up_json()
    try:
        raise KafkaConnectionError
    except KafkaConnectionError:
        logging.getLogger("aiokafka.producer.sender").exception("Unexpected error in sender routine")

    assert lines(stream) == []


def test_a_traceback_of_aiokafka_remains():
    """A defect within aiokafka keeps its level and its traceback, whatever its message."""
    stream = set_up_json()
    try:
        raise ValueError("bad")
    except ValueError:
        logging.getLogger("aiokafka.consumer.fetcher").exception("Failed fetch messages")

    assert "ValueError: bad" in lines(stream)[0]["exception"]


def test_storm_of_aiokafka_is_counted_instead_of_written():
    """Of hundreds of equal lines of aiokafka a few are written; other loggers are not limited."""
    stream = set_up_json()

    for number in range(300):
        logging.getLogger("aiokafka.producer.sender").error("Failed, attempt %d", number)
        logging.getLogger("library").error("Failed, attempt %d", number)

    written = [line["logger"] for line in lines(stream)]
    assert written.count("aiokafka.producer.sender") == 5
    assert written.count("library") == 300


def test_a_storm_is_logged_with_the_number_of_suppressed_lines():
    """After its period a kind of line passes again, with the number of suppressed ones; another kind is independent."""
    limiter = LogRateLimiter(burst=2, per_seconds=10)

    assert [limiter.admit("a", now) for now in range(5)] == [0, 0, None, None, None]
    assert limiter.admit("b", 5) == 0
    assert [limiter.admit("a", now) for now in (10, 11, 12)] == [3, 0, None]


def test_storm_of_many_kinds_is_bounded():
    """A stream of new kinds of lines does not fill the memory."""
    limiter = LogRateLimiter()
    for kind in range(5000):
        limiter.admit(kind, 0)

    assert len(limiter._windows) <= 1000
