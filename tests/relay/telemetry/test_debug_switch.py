"""The log level of a running service, switched by a signal."""

import asyncio
import logging
import os
import signal

import pytest
import structlog

from relay.telemetry.debug_switch import DebugSwitch, debug_on_signal
from tests.support.json_log import lines, set_up_json

LIBRARIES = ("library", "aiokafka.client")


def write_lines():
    """Write a line of each kind at debug, with loggers that were made before."""
    structlog.get_logger().debug("Ours.")
    for name in LIBRARIES:
        logging.getLogger(name).debug("Theirs.")


def messages(stream):
    return [line["message"] for line in lines(stream)]


@pytest.mark.parametrize("level", ["info", "warning", "error"])
def test_the_level_is_switched_to_debug_and_back(level):
    """Lines at debug are written between two signals alone, those of quieted libraries never; each switch has a line."""
    stream = set_up_json(level=level)
    switch, kept = DebugSwitch(level), structlog.get_logger("made before")
    write_lines()
    switch.switch()
    write_lines()
    kept.debug("Kept.")
    switch.switch()
    write_lines()
    kept.debug("Kept.")

    switched = "Log level switched by a signal."
    assert messages(stream) == [switched, "Ours.", "Theirs.", "Kept.", switched]
    assert [line["log_level"] for line in lines(stream) if "log_level" in line] == ["debug", level]


def test_a_service_at_debug_is_switched_to_info():
    """A service whose settings say debug becomes quieter, and then as before."""
    stream = set_up_json(level="debug")
    switch = DebugSwitch("debug")
    switch.switch()
    write_lines()
    switch.switch()
    write_lines()

    assert messages(stream).count("Ours.") == 1


async def test_sigusr1_switches(monkeypatch):
    """The signal switches while the block runs, and has its former handler afterwards."""
    switched = asyncio.Event()
    monkeypatch.setattr(DebugSwitch, "switch", lambda _switch: switched.set())
    before = signal.getsignal(signal.SIGUSR1)
    with debug_on_signal("info"):
        os.kill(os.getpid(), signal.SIGUSR1)
        await asyncio.wait_for(switched.wait(), 120)
    assert signal.getsignal(signal.SIGUSR1) == before
