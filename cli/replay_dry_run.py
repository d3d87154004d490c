"""The count of a replay before it begins: read with a progress bar, and shown by organization and day."""

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from cli.context import CommandContext
from cli.output import escape_controls, print_json, print_wrapped, terminal_width
from cli.table import print_rows
from management.formatting import iso_milliseconds
from management.replay.dry_run import DryRun, dry_run
from management.replay.start import PlannedReplay
from relay.replays.job import ReplayJob

_MAX_LINES = 31


def count_events(state: CommandContext, job: ReplayJob, *, quiet: bool = False) -> DryRun:
    """Read the ranges of a job and count its events; on a terminal with a progress bar."""
    console = Console(highlight=False, quiet=quiet or terminal_width() is None)
    bar = Progress(
        TextColumn("{task.percentage:>3.0f} %", markup=False),
        BarColumn(bar_width=20),
        TextColumn("{task.description}", markup=False),
        console=console,
        transient=True,
    )
    with bar:
        task = bar.add_task("0 events", total=1.0)

        def show(share: float, events: int) -> None:
            bar.update(task, completed=share, description=f"{events:,} events")

        settings = state.settings
        work = dry_run(state.connection(), settings.schema_registry, settings.destinations, job, show)
        counts: DryRun = state.run_quietly(work)
    return counts


def print_dry_run(counts: DryRun, planned: PlannedReplay, *, as_json: bool) -> None:
    """Print what a replay would do."""
    if as_json:
        print_json(_document(counts, planned))
        return
    print_wrapped(f"\n{_summary(counts, planned)}")
    _print_counts("organization", dict(counts.by_organization.most_common()), counts.events)
    _print_counts(f"day ({planned.request.by}, UTC)", counts.days(), counts.events)
    if counts.rows_problem is not None:
        print_wrapped(f"\n{counts.rows_problem}")
    for number, row in enumerate(counts.rows, 1):
        print(f"\nRow {number}, as it would be sent:\n{escape_controls(row)}")


def _summary(counts: DryRun, planned: PlannedReplay) -> str:
    parts = [f"{counts.events:,} events would be sent to {planned.request.destination}. Nothing was sent."]
    if counts.skipped:
        parts.append(f"{counts.skipped:,} other events of these partitions would be skipped.")
    if counts.undecodable:
        parts.append(f"{counts.undecodable:,} records cannot be decoded and would become dead letters.")
    if counts.lost:
        parts.append(f"{counts.lost:,} offsets of the window were deleted meanwhile.")
    return " ".join(parts)


def _print_counts(title: str, counts: Mapping[str, int], total: int) -> None:
    if not counts:
        return
    print()
    shown = list(counts.items())[:_MAX_LINES]
    print_rows((title, "events"), [(name, f"{count:,}") for name, count in shown])
    if len(counts) > len(shown):
        rest = total - sum(count for _, count in shown)
        print(f"and {len(counts) - len(shown)} more, with {rest:,} events; --json has all")


def _document(counts: DryRun, planned: PlannedReplay) -> dict[str, Any]:
    request = planned.request
    return {
        "destination": request.destination,
        "by": request.by,
        "from": iso_milliseconds(request.from_ms),
        "to": iso_milliseconds(request.to_ms),
        "to_live": request.to_live,
        "events": counts.events,
        "skipped": counts.skipped,
        "undecodable": counts.undecodable,
        "lost": counts.lost,
        "by_organization": dict(counts.by_organization.most_common()),
        "by_day": counts.days(),
        "rows": counts.rows,
        "rows_problem": counts.rows_problem,
        "notes": list(planned.notes),
    }
