import io
import json
import logging
import sys

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from relay.credentials.redaction import Redactor
from relay.telemetry.library_lines import LogRateLimiter
from relay.telemetry.logs import configure_logging, configured_format, mark_logged

CANARY = "ATATT3xFfGF0canary=5F1C9E00"


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture(autouse=True)
def _restored():
    """Restore what a process configures only once."""
    root, hook = logging.root, sys.excepthook
    before, levels = (
        (root.handlers[:], root.level),
        {
            name: logger.level
            for name, logger in root.manager.loggerDict.items()
            if isinstance(logger, logging.Logger)
        },
    )
    yield
    root.handlers[:], root.level = before
    for name, logger in root.manager.loggerDict.items():
        if isinstance(logger, logging.Logger):
            logger.setLevel(levels.get(name, logging.NOTSET))
    logging.captureWarnings(capture=False)
    sys.excepthook = hook
    structlog.reset_defaults()


def set_up_json(redactor=None, level="info"):
    stream = io.StringIO()
    configure_logging("json", level, redactor or Redactor(), stream)
    return stream


def lines(stream):
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_line_is_json_with_a_utc_time():
    """A line is one JSON object: the time in UTC, the level, the message, and the fields."""
    stream = set_up_json()

    structlog.get_logger().info("Published.", organization="acme", events=3)

    (line,) = lines(stream)
    assert list(line)[:3] == ["time", "level", "message"]
    assert line["time"].endswith("Z")
    assert line | {"time": ""} == {
        "time": "",
        "level": "info",
        "message": "Published.",
        "organization": "acme",
        "events": 3,
    }


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


def test_level_is_obeyed():
    """Lines below the level are not written, neither the relay's nor a library's."""
    stream = set_up_json(level="error")

    structlog.get_logger().warning("Ours.")
    logging.getLogger("library").warning("Theirs.")
    structlog.get_logger().error("Bad.")

    assert [line["message"] for line in lines(stream)] == ["Bad."]


@pytest.mark.parametrize("log_format", ["json", "text"])
def test_traceback_shows_no_locals(log_format):
    """A traceback has the error and its place, and no value of a local variable."""
    stream = io.StringIO()
    configure_logging(log_format, "info", Redactor(), stream)

    def fail():
        hidden = CANARY[::-1]
        raise ValueError(len(hidden))

    for log in (structlog.get_logger(), logging.getLogger("library")):
        try:
            fail()
        except ValueError:
            log.exception("Failed.")

    assert stream.getvalue().count("ValueError: 27") == 2
    assert CANARY[::-1] not in stream.getvalue()


@pytest.mark.parametrize("log_format", ["json", "text"])
@pytest.mark.parametrize("secret", [CANARY, 'pass"word\\with ümlaut', "tab\tand line\nbreak"])
def test_known_secret_is_removed(log_format, secret):
    """A known secret is in no line: not as a value, in a message, an object's repr, an error, or a library's line."""
    redactor, stream = Redactor(), io.StringIO()
    redactor.add(secret)
    configure_logging(log_format, "info", redactor, stream)
    log = structlog.get_logger()

    message = f"Message: {secret}."
    log.info(message, value=secret, inside={"deep": [secret]}, error=ValueError(secret))
    logging.getLogger("library").error("Theirs: %s %r", secret, secret)
    try:
        raise ValueError(secret)
    except ValueError:
        log.exception("Failed.")

    out = stream.getvalue()
    assert "[secret]" in out
    for form in (secret, repr(secret)[1:-1], json.dumps(secret)[1:-1]):
        assert form not in out


def test_the_error_that_ends_the_process_is_logged():
    """An uncaught error is a log line with its place, and without the secret in its text."""
    redactor = Redactor()
    redactor.add(CANARY)
    stream = set_up_json(redactor)
    try:
        raise ValueError(f"bad: {CANARY}")
    except ValueError as error:
        sys.excepthook(ValueError, error, error.__traceback__)

    (line,) = lines(stream)
    assert (line["level"], CANARY in str(line)) == ("critical", False)
    assert "ValueError: bad: [secret]" in line["exception"]


def test_an_error_that_was_logged_ends_the_process_in_silence():
    """An error that a service has logged has no second line at the end of the process."""
    stream = set_up_json()
    error = ValueError("bad")
    structlog.get_logger().error("A service failed.", reason=str(error))
    mark_logged(error)

    sys.excepthook(ValueError, error, None)

    assert [line["message"] for line in lines(stream)] == ["A service failed."]


@pytest.mark.parametrize("log_format", ["json", "text"])
def test_the_chosen_format_is_known(log_format):
    """The format is known once it is configured, for an error that ends the process."""
    assert configured_format() is None

    configure_logging(log_format, "info", Redactor(), io.StringIO())

    assert configured_format() == log_format


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
        ("another.library", "Unable connect to %s", ("x",)),
    ],
)
def test_other_faults_of_kafka_remain(logger, message, values):
    """An error that no repetition mends keeps its level, and so does another library's."""
    stream = set_up_json()

    logging.getLogger(logger).error(message, *values)

    assert [line["level"] for line in lines(stream)] == ["error"]


def test_a_traceback_of_aiokafka_remains():
    """A defect within aiokafka keeps its level and its traceback, whatever its message."""
    stream = set_up_json()
    try:
        raise ValueError("bad")
    except ValueError:
        logging.getLogger("aiokafka.consumer.fetcher").exception("Failed fetch messages")

    assert "ValueError: bad" in lines(stream)[0]["exception"]


def test_text_is_for_terminals():
    """With `auto`, a terminal gets text, every other stream JSON."""
    terminal, file = Terminal(), io.StringIO()
    for stream in (terminal, file):
        configure_logging("auto", "info", Redactor(), stream)
        structlog.get_logger().info("Published.", events=3)

    assert "Published." in terminal.getvalue()
    assert not terminal.getvalue().startswith("{")
    assert lines(file)[0]["events"] == 3


def test_values_cannot_forge_lines():
    """A value from outside neither starts a line of its own nor controls the terminal."""
    for log_format in ("text", "json"):
        stream = io.StringIO()
        configure_logging(log_format, "info", Redactor(), stream)

        structlog.get_logger().info(
            "Refused.", reason="x\n2026 [info] All is well \x1b[2J", name="acme\u202e"
        )
        logging.getLogger("library").warning("Refused: %s", "x\n2026 [info] All is well \x1b[2J")

        assert len(stream.getvalue().splitlines()) == 2
        assert "\x1b[2J" not in stream.getvalue()
        assert "\u202e" not in stream.getvalue()


@given(
    st.dictionaries(st.text(min_size=1, max_size=5), st.text() | st.integers() | st.floats() | st.binary())
)
def test_any_value_makes_a_line(values):
    """Any value, lone surrogates and huge numbers included, becomes one JSON line."""
    stream = set_up_json()

    structlog.get_logger().info("Seen.", values=values, odd="\udc80", huge=10**40)

    assert lines(stream)[0]["message"] == "Seen."


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


@given(
    st.lists(st.text(min_size=8, max_size=30), min_size=1, max_size=5),
    st.lists(st.text(max_size=10), max_size=6),
)
def test_redactor_finds_every_secret(secrets, between):
    """No known secret of eight or more characters is left in a text, even if secrets overlap or touch."""
    redactor = Redactor()
    for secret in secrets:
        redactor.add(secret)
    text = "".join(part for pair in zip(between, secrets * 6, strict=False) for part in pair)

    left = redactor(text)

    for secret in secrets:
        assert secret not in left.replace("[secret]", "\0")


def test_redactor_removes_the_longest():
    """A secret within another, or one that overlaps it, leaves no part of it."""
    redactor = Redactor()
    for secret in ("abcdefghijklmnop", "cdefghijkl", "ijklmnopqrst"):
        redactor.add(secret)

    assert redactor("<abcdefghijklmnop><abcdefghijklmnopqrst>") == "<[secret]><[secret]>"


def test_redactor_leaves_other_text_alone():
    """Text without a secret is unchanged, and short words are not secrets."""
    redactor = Redactor()
    redactor.add("key")
    redactor.add(CANARY)

    assert redactor(f"the key is {CANARY[:-1]}") == f"the key is {CANARY[:-1]}"
