import io
import json
import logging
import sys

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from relay.credentials.redaction import Redactor
from relay.telemetry.logs import configure_logging, configured_format, mark_logged
from tests.support.json_log import lines, set_up_json

CANARY = "ATATT3xFfGF0canary=5F1C9E00"


class Terminal(io.StringIO):
    def isatty(self):
        return True


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
