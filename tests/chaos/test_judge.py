import json
from pathlib import Path

import pytest

from tests.chaos.judge import LOG_MARKERS, find_raised_errors

ROOT = Path(__file__).parents[2]
FOREIGN = {"Task was destroyed but it is pending", "Traceback"}
"""Texts of Python."""


@pytest.mark.parametrize("marker", [each for each in LOG_MARKERS if each not in FOREIGN])
def test_each_marker_is_a_message_of_the_relay(marker):
    """The judge counts messages that the relay still logs."""
    sources = [path for room in ("relay", "producer", "consumer") for path in (ROOT / room).rglob("*.py")]

    assert any(marker in path.read_text("utf-8") for path in sources)


def test_the_errors_of_tracebacks_are_named():
    """A traceback is known by its last line, in a text and in JSON; one that is cut off is counted too."""
    text = 'one\nTraceback (most recent call last):\n  File "a.py", line 1\n    raise\nOSError: gone\nanother line\n'
    quoted = json.dumps({"exception": "Traceback (most recent call last):\n  File\nValueError: bad"})

    assert find_raised_errors(text + quoted + "\nTraceback (most recent call last):\n  File") == [
        "OSError: gone",
        'ValueError: bad"}',
        "(the log ends)",
    ]
