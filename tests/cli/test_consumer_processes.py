"""How many processes a consumer has, and the share of each."""

import os
from pathlib import Path

import pytest
import structlog

from cli import consumer_processes
from cli.consumer_processes import (
    automatic_count,
    file_read_once,
    note_fewer_processes,
    process_count,
    share_of,
)
from management.settings import Settings
from relay.config.file_secret import FileSecret
from relay.errors import SettingsError

GIB = 1024**3


def settings(**most_requests):
    """Destinations of the kind http with so many requests, and one of a kind that has no such setting."""
    of_kind = {
        name: {"kind": "http", "url": "https://receiver.example/events", "max_requests": most}
        for name, most in most_requests.items()
    }
    sentinel = {
        "kind": "sentinel",
        "endpoint": "https://x.ingest.monitor.azure.com",
        "rule_id": "dcr-" + 32 * "0",
    }
    return Settings.model_validate({"destinations": {**of_kind, "soc": sentinel}})


@pytest.mark.parametrize(
    ("cores", "memory", "destinations", "count"),
    [
        (1, 64 * GIB, 1, 1),
        (1.9, 64 * GIB, 1, 1),
        (2, GIB, 1, 2),
        (2, GIB - 1, 1, 1),
        (2, GIB, 2, 1),
        (2, GIB + 2 * 64 * 1024**2, 2, 2),
        (0.1, 1, 1, 1),
        (64, 64 * GIB, 20, 2),
    ],
)
def test_cores_and_memory_decide_on_the_number_of_processes(cores, memory, destinations, count):
    """`auto` is one process a whole core and as much memory as it takes for its destinations, at least one and at most two."""
    assert automatic_count(cores, memory, destinations) == count


def test_a_setting_bounds_the_requests_of_all_processes(monkeypatch):
    """The processes share `max_requests`, and are no more than it allows; a kind without the setting bounds nothing."""
    monkeypatch.setattr(consumer_processes, "available_cores", lambda: 8.0)
    monkeypatch.setattr(consumer_processes, "available_memory", lambda: 8 * GIB)
    given = settings(few=5, many=8)
    served = list(given.destinations.values())

    assert process_count(3, served) == 3
    assert process_count("auto", served) == 2
    assert process_count(8, served) == 5
    assert process_count(8, [given.destinations["soc"]]) == 8
    assert process_count("auto", settings(one=1).destinations.values()) == 1
    shares = [share_of(given, number, 3).destinations for number in (1, 2, 3)]
    assert [each["few"].max_requests for each in shares] == [2, 2, 1]
    assert [each["many"].max_requests for each in shares] == [3, 3, 2]
    assert share_of(given, 1, 1) == given


def test_fewer_processes_than_asked_for_are_named():
    """The line names the settings that bound the processes; without a bound, or without a wish, there is none."""
    served = settings(few=2, many=8, also=2).destinations
    with structlog.testing.capture_logs() as lines:
        note_fewer_processes(4, process_count(4, served.values()), served)
        note_fewer_processes(2, process_count(2, served.values()), served)
        note_fewer_processes("auto", 1, served)

    (line,) = lines
    assert (line["log_level"], line["processes"], line["wanted"]) == ("warning", 2, 4)
    assert line["settings"] == ["destinations.few.max_requests", "destinations.also.max_requests"]


def test_settings_from_a_pipe_have_one_process(monkeypatch, tmp_path):
    """A pipe, as of `<(…)`, gives its content once: a child would find it empty, or wait for ever."""
    monkeypatch.setattr(consumer_processes, "available_cores", lambda: 8.0)
    monkeypatch.setattr(consumer_processes, "available_memory", lambda: 8 * GIB)
    given = settings(many=8)
    config = tmp_path / "relay.toml"
    config.touch()
    served = [given.destinations["soc"]]
    assert file_read_once(given, None) is file_read_once(given, config) is None

    unreachable = given.model_copy(
        update={"hidden": Path(f"/{'x' * 300}/key")}
    )  # stat raises, as for a folder without rights
    assert file_read_once(unreachable, config) is None

    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    secret = FileSecret("destinations.many.hide_key", pipe, "text")
    destination = given.destinations["many"].model_copy(update={"hide_key": secret})
    piped = given.model_copy(update={"destinations": {"many": destination}})

    assert file_read_once(piped, config) == pipe
    assert file_read_once(given, Path("/dev/fd/63")) == Path("/dev/fd/63")
    assert process_count("auto", served, pipe) == process_count(1, served, pipe) == 1
    with pytest.raises(SettingsError, match="can be read by one process, and 2 were asked for"):
        process_count(2, served, pipe)
