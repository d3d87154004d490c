"""Output of a sandbox, on a terminal and without one."""

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Self, TextIO

from rich.console import Console, RenderableType
from rich.live import Live
from rich.text import Text

from sandbox import view
from sandbox.observer import OrganizationSnapshot

PLAIN_INTERVAL_SECONDS = 3.0
PLAIN_WIDTH = 120


class Screen:
    """Prints lines one below the other. On a terminal, a table of the organizations stays below them."""

    def __init__(self, stream: TextIO | None = None, clock: Callable[[], float] = time.time) -> None:
        stream = stream or sys.stdout
        self.terminal = stream.isatty()
        self._console = Console(
            file=stream,
            highlight=False,
            markup=False,
            emoji=False,
            width=None if self.terminal else PLAIN_WIDTH,
        )
        self._clock = clock
        self._live: Live | None = None
        self._listed: dict[str, tuple[str, int, Mapping[str, int], int]] = {}
        self._listed_at = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def announce(self, text: str) -> None:
        """Print a line with the time."""
        stamp = view.format_clock(self._now_ms(), self._now_ms())
        if self.terminal:
            self._console.print(view.render_beside(stamp, text))
        else:
            self._console.print(f"{stamp}  {text}", soft_wrap=True)

    def print_line(self, text: str) -> None:
        self._console.print(Text(text), soft_wrap=True)

    def print_renderable(self, renderable: RenderableType) -> None:
        self._console.print(renderable)

    def update(self, snapshots: Sequence[OrganizationSnapshot]) -> None:
        """Redraw the table. Without a terminal, print each changed organization at most every 3 s."""
        if self.terminal:
            self._draw(snapshots)
        elif self._clock() - self._listed_at >= PLAIN_INTERVAL_SECONDS:
            self._listed_at = self._clock()
            self._list(snapshots)

    def finish(self, snapshots: Sequence[OrganizationSnapshot]) -> None:
        """Show the last counts; the table is not redrawn afterwards."""
        if self.terminal:
            self._draw(snapshots)
        else:
            self._list(snapshots)
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _draw(self, snapshots: Sequence[OrganizationSnapshot]) -> None:
        table = view.render_table(snapshots, self._now_ms())
        if self._live is None:
            self._live = Live(table, console=self._console, auto_refresh=False)
            self._live.start(refresh=True)
        else:
            self._live.update(table, refresh=True)

    def _list(self, snapshots: Sequence[OrganizationSnapshot]) -> None:
        for snapshot in snapshots:
            summary = (snapshot.state, snapshot.in_kafka, snapshot.accepted, snapshot.lag)
            if self._listed.get(snapshot.organization) != summary:
                self._listed[snapshot.organization] = summary
                self.announce(view.render_line(snapshot, self._now_ms()))

    def _now_ms(self) -> int:
        return int(self._clock() * 1000)
