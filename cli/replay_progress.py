"""A replay that is followed to its end: a progress bar on a terminal, else a line every few seconds."""

import asyncio
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol, Self

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from cli.context import CommandContext
from cli.output import escape_controls, print_wrapped, terminal_width
from management.replay.follow import FollowTiming, follow
from management.replay.speed import Speed
from management.replay.texts import counts_text, duration_text
from management.replay.view import ReplayView
from relay.errors import RelayError
from relay.kafka.connection import Connection
from relay.timestamps import now_ms

LINE_SECONDS = 5.0


class Shows(Protocol):
    """Shows a replay that goes on."""

    def __call__(self, view: ReplayView, speed: Speed) -> None: ...


def follow_job(
    state: CommandContext, replay_id: str, *, quiet: bool = False, timing: FollowTiming | None = None
) -> ReplayView:
    """Follow a replay to its end, and return it. `quiet`: print nothing meanwhile, as for one JSON document.

    Ctrl-C ends the command with a sentence on how to go on; the replay is not touched.
    """
    try:
        view: ReplayView = state.run_quietly(
            _follow(state.connection(), replay_id, quiet=quiet, timing=timing)
        )
    except (KeyboardInterrupt, asyncio.CancelledError):
        if quiet:
            raise RelayError(detached_text(replay_id)) from None
        print_wrapped(f"\n{detached_text(replay_id)}")
        raise typer.Exit(1) from None
    return view


def detached_text(replay_id: str) -> str:
    """Return how to follow and to end a replay that runs by itself."""
    return (
        f"The replay {replay_id} goes on without this command. Follow it with `jira-relay replay follow {replay_id}`, and end it with"
        f" `jira-relay replay cancel {replay_id}`."
    )


async def _follow(
    connection: Connection, replay_id: str, *, quiet: bool, timing: FollowTiming | None
) -> ReplayView:
    speed = Speed()
    with _display(quiet=quiet) as show:
        async for view in follow(connection, replay_id, now_ms, timing):
            speed.add(view)
            show(view, speed)
    return view


def _display(*, quiet: bool) -> AbstractContextManager[Shows]:
    if quiet:
        return nullcontext(lambda _view, _speed: None)
    return nullcontext(Lines(time.monotonic)) if terminal_width() is None else Bar()


def remarks(view: ReplayView) -> str:
    """Return state and reason of a replay that does not simply run. Empty: it does, or has ended."""
    if view.ended or (view.state == "running" and not view.reason):
        return ""
    return f"{view.state}. {view.reason}".removesuffix(". ")


class Bar:
    """A bar with percentage, counts, speed and time left; a sentence above it when state or reason change."""

    def __init__(self) -> None:
        self._console = Console(file=sys.stdout, highlight=False)
        self._progress = Progress(
            TextColumn("{task.percentage:>3.0f} %", markup=False),
            BarColumn(bar_width=20),
            TextColumn("{task.description}", markup=False),
            console=self._console,
        )
        self._task = self._progress.add_task("", total=1.0)
        self._said = ""

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def __call__(self, view: ReplayView, speed: Speed) -> None:
        if (words := remarks(view)) != self._said:
            self._said = words
            if words:
                self._console.print(escape_controls(words), markup=False)
        self._progress.update(self._task, completed=view.fraction, description=progress_text(view, speed))


class Lines:
    """A line every few seconds, and whenever state or reason change."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._printed_at: float | None = None
        self._said = ""

    def __call__(self, view: ReplayView, speed: Speed) -> None:
        words, now = remarks(view), self._clock()
        due = self._printed_at is None or now - self._printed_at >= LINE_SECONDS
        if view.ended or (not due and words == self._said):
            return
        self._printed_at, self._said = now, words
        line = f"{100 * view.fraction:.0f} %: {progress_text(view, speed)}"
        print(escape_controls(f"{line}; {words}" if words else line), flush=True)


def progress_text(view: ReplayView, speed: Speed) -> str:
    """Return the counts of a replay, its speed, and the time left where they are known."""
    parts = [counts_text(view)]
    rate, left = speed.events_per_second, speed.seconds_left(view)
    if rate is not None and not view.ended:
        parts.append(f"{rate:,.0f} events/s")
    if left is not None:
        parts.append(f"{duration_text(left)} left")
    return ", ".join(parts)
