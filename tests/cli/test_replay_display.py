"""What `jira-relay replay` asks before it starts, and what it shows of a replay that goes on."""

import sys
from dataclasses import replace
from types import SimpleNamespace

import pytest
import typer

from cli.commands import replay_start
from cli.commands.replay_start import _ask
from cli.replay_progress import Bar, Lines, follow_job
from cli.start_question import require_person
from management.organizations.validation import InputError
from management.replay.dry_run import DryRun
from management.replay.speed import Speed
from management.replay.view import ReplayView
from relay.errors import RelayError
from relay.replays.job import KnownReplay, ReplayPlace, ReplayProgress, ReplayRange
from tests.support.replays import replay_job
from tests.support.views import NOW

JOB = replay_job(wished_at=NOW, ranges=(ReplayRange("p.events", 0, 0, 200),))
PROGRESS = ReplayProgress(JOB.id, "running", NOW, NOW, "host-1", NOW)


def view(seconds, **changes):
    """Return the replay after so many seconds, with 10 events each."""
    count = 10 * seconds
    places = (ReplayPlace("p.events", 0, count, ""),)
    progress = replace(PROGRESS, at=NOW + 1000 * seconds, read=count, sent=count, places=places)
    return ReplayView(KnownReplay(JOB, replace(progress, **changes)), NOW + 1000 * seconds)


def test_nobody_is_asked_without_a_terminal_or_for_one_document(monkeypatch):
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(isatty=lambda: True))
    require_person("The replay was not started", as_json=False)
    with pytest.raises(InputError, match="--yes"):
        require_person("The replay was not started", as_json=True)
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(InputError, match="--yes"):
        require_person("The replay was not started", as_json=False)


@pytest.mark.parametrize("typed", ["sentinel", " sentinel ", "y", "", "Sentinel"])
def test_rows_go_to_live_only_if_the_name_of_the_destination_is_typed(monkeypatch, capsys, typed):
    """The number of events that may raise alarms again is shown before."""
    monkeypatch.setattr(replay_start, "count_events", lambda *_: DryRun(events=1234))
    monkeypatch.setattr(replay_start.typer, "prompt", lambda *_, **__: typed)
    live = replace(JOB, to_live=True)
    if typed.strip() == "sentinel":
        _ask(None, live)
    else:
        with pytest.raises(InputError, match="was not started"):
            _ask(None, live)
    assert "1,234 events would go where new events go" in capsys.readouterr().out


def test_a_refill_to_live_names_no_number_of_events(monkeypatch, capsys):
    """Its events are on no topic yet, so a count would say that there are none."""
    monkeypatch.setattr(replay_start, "count_events", lambda *_: DryRun(events=0))
    monkeypatch.setattr(replay_start.typer, "prompt", lambda *_, **__: "sentinel")
    _ask(None, replace(JOB, to_live=True, content="refill"))
    shown = capsys.readouterr().out
    assert "0 events" not in shown
    assert "All events of the window" in shown


def test_a_replay_into_history_is_asked_for_once(monkeypatch):
    asked = []
    monkeypatch.setattr(replay_start.typer, "confirm", lambda text, abort: asked.append((text, abort)))
    _ask(None, JOB)
    assert asked == [("Start the replay?", True)]


def test_without_a_terminal_a_line_is_printed_every_few_seconds_and_at_each_change(capsys):
    seconds = [0]
    show, speed = Lines(lambda: seconds[0]), Speed()
    for number in range(11):
        seconds[0] = number
        now = view(number, **({"reason": "The destination refuses."} if number == 7 else {}))
        speed.add(now)
        show(now, speed)
    show(view(11, state="done"), speed)
    lines = capsys.readouterr().out.splitlines()
    assert lines == [
        "0 %: 0 sent",
        "25 %: 50 sent, 10 events/s, 15 s left",
        "35 %: 70 sent, 10 events/s, 13 s left; running. The destination refuses.",
        "40 %: 80 sent, 10 events/s, 12 s left",
    ]


def test_a_bar_shows_counts_and_says_once_why_a_replay_waits(capsys):
    """Text from outside cannot control the terminal."""
    speed = Speed()
    with Bar() as bar:
        for number in range(3):
            now = view(number, state="waiting", reason="[red]no\x1b[2J")
            speed.add(now)
            bar(now, speed)
    out = capsys.readouterr().out
    assert out.count("waiting. [red]no\\u001b[2J") == 1
    assert "20 sent, 10 events/s" in out
    assert "\x1b[2J" not in out


def test_ctrl_c_ends_the_command_and_says_how_to_go_on(capsys):
    """The job is not touched."""

    class State:
        def connection(self):
            return None

        def run_quietly(self, work):
            work.close()
            raise KeyboardInterrupt

    with pytest.raises(typer.Exit) as ended:
        follow_job(State(), JOB.id)
    assert ended.value.exit_code == 1
    with pytest.raises(RelayError, match="goes on without this command"):
        follow_job(State(), JOB.id, quiet=True)  # the error is the one document of --json
    out = " ".join(capsys.readouterr().out.split())
    assert f"replay follow {JOB.id}" in out
    assert f"replay cancel {JOB.id}" in out
