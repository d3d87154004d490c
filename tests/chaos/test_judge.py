from pathlib import Path

import pytest

from tests.chaos.judge import LOG_MARKERS

ROOT = Path(__file__).parents[2]
FOREIGN = {"Task was destroyed but it is pending", "Traceback"}
"""Texts of Python."""


@pytest.mark.parametrize("marker", [each for each in LOG_MARKERS if each not in FOREIGN])
def test_each_marker_is_a_message_of_the_relay(marker):
    """The judge counts messages that the relay still logs."""
    sources = [path for room in ("relay", "producer", "consumer") for path in (ROOT / room).rglob("*.py")]

    assert any(marker in path.read_text("utf-8") for path in sources)
