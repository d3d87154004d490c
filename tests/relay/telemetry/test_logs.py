import io
import json
import logging
import sys

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from relay.credentials.redaction import Redactor
from relay.telemetry.logs import LogRateLimiter, configure_logging

CANARY = "ATATT3xFfGF0canary=5F1C9E00"


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture(autouse=True)
def _restored():
    """What a process sets once for all is put back."""
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
    """A line is one JSON object: the time in UTC, the level, the message, and the values given."""
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


def test_libraries_lines_take_the_same_way():
    """What a library logs is a line of the same form, with its logger's name."""
    stream = set_up_json()

    logging.getLogger("a.dependency").warning("slow: %s", "very")

    (line,) = lines(stream)
    assert (line["level"], line["message"], line["logger"]) == ("warning", "slow: very", "a.dependency")


def test_libraries_that_log_urls_are_quiet():
    """httpx, azure and their like are silent below WARNING, also when we are not."""
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
    """Lines below the level are not written, neither ours nor others'."""
    stream = set_up_json(level="error")

    structlog.get_logger().warning("Ours.")
    logging.getLogger("library").warning("Theirs.")
    structlog.get_logger().error("Bad.")

    assert [line["message"] for line in lines(stream)] == ["Bad."]


@pytest.mark.parametrize("log_format", ["json", "text"])
def test_traceback_shows_no_locals(log_format):
    """A traceback names the error and its place, and never a local variable's value."""
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
def test_known_secret_is_taken_out(log_format, secret):
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


def test_what_ends_the_process_is_a_line_too():
    """An error that nobody caught is told through the log, with its place and without the secret in its text."""
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


def test_text_is_for_terminals():
    """With `auto`, a terminal gets text and everything else JSON."""
    terminal, file = Terminal(), io.StringIO()
    for stream in (terminal, file):
        configure_logging("auto", "info", Redactor(), stream)
        structlog.get_logger().info("Published.", events=3)

    assert "Published." in terminal.getvalue()
    assert not terminal.getvalue().startswith("{")
    assert lines(file)[0]["events"] == 3


def test_values_cannot_forge_lines():
    """A value from outside neither starts a line of its own nor reaches the terminal as a command."""
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
    """Whatever is logged, lone surrogates and huge numbers included, becomes one JSON line."""
    stream = set_up_json()

    structlog.get_logger().info("Seen.", values=values, odd="\udc80", huge=10**40)

    assert lines(stream)[0]["message"] == "Seen."


def test_storm_of_aiokafka_is_counted_instead_of_written():
    """Of hundreds of equal lines of aiokafka's loggers, a handful is written; other loggers' are all."""
    stream = set_up_json()

    for number in range(300):
        logging.getLogger("aiokafka.producer.sender").error("Failed, attempt %d", number)
        logging.getLogger("library").error("Failed, attempt %d", number)

    written = [line["logger"] for line in lines(stream)]
    assert written.count("aiokafka.producer.sender") == 5
    assert written.count("library") == 300


def test_a_storm_is_logged_with_how_much_was_held_back():
    """After its time a kind of line passes again and says how many were held back; another kind is not concerned."""
    limiter = LogRateLimiter(burst=2, per_seconds=10)

    assert [limiter.admit("a", now) for now in range(5)] == [0, 0, None, None, None]
    assert limiter.admit("b", 5) == 0
    assert [limiter.admit("a", now) for now in (10, 11, 12)] == [3, 0, None]


def test_storm_of_many_kinds_is_bounded():
    """Ever new kinds of lines do not fill the memory."""
    limiter = LogRateLimiter()
    for kind in range(5000):
        limiter.admit(kind, 0)

    assert len(limiter._windows) <= 1000


@given(
    st.lists(st.text(min_size=8, max_size=30), min_size=1, max_size=5),
    st.lists(st.text(max_size=10), max_size=6),
)
def test_redactor_finds_every_secret(secrets, between):
    """No known secret of eight characters or more is left in any text, also where they overlap or touch."""
    redactor = Redactor()
    for secret in secrets:
        redactor.add(secret)
    text = "".join(part for pair in zip(between, secrets * 6, strict=False) for part in pair)

    left = redactor(text)

    for secret in secrets:
        assert secret not in left.replace("[secret]", "\0")


def test_redactor_takes_out_the_longest():
    """A secret within another, or one that overlaps it, uncovers nothing of it."""
    redactor = Redactor()
    for secret in ("abcdefghijklmnop", "cdefghijkl", "ijklmnopqrst"):
        redactor.add(secret)

    assert redactor("<abcdefghijklmnop><abcdefghijklmnopqrst>") == "<[secret]><[secret]>"


def test_redactor_leaves_other_text_alone():
    """Text without a secret is not changed, and neither do short words count as secrets."""
    redactor = Redactor()
    redactor.add("key")
    redactor.add(CANARY)

    assert redactor(f"the key is {CANARY[:-1]}") == f"the key is {CANARY[:-1]}"
