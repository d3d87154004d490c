"""The count of a replay before it begins: read with a progress bar, and shown by organization and day."""

from collections.abc import Mapping

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from cli.context import CommandContext
from cli.output import escape_controls, print_json, print_wrapped, terminal_width
from cli.table import print_rows
from management.replay.documents import dry_run_document, summary_text
from management.replay.dry_run import DryRun, dry_run
from management.replay.start import PlannedReplay
from relay.quantities import quantity
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
        print_json(dry_run_document(counts, planned))
        return
    print_wrapped(f"\n{summary_text(counts, planned.request.destination)}")
    _print_counts("organization", dict(counts.by_organization.most_common()), counts.events)
    _print_counts(f"day ({planned.request.by}, UTC)", counts.days(), counts.events)
    if counts.rows_problem is not None:
        print_wrapped(f"\n{counts.rows_problem}")
    for number, row in enumerate(counts.rows, 1):
        print(f"\nRow {number}, as it would be sent:\n{escape_controls(row)}")


def _print_counts(title: str, counts: Mapping[str, int], total: int) -> None:
    if not counts:
        return
    print()
    shown = list(counts.items())[:_MAX_LINES]
    print_rows((title, "events"), [(name, f"{count:,}") for name, count in shown])
    if len(counts) > len(shown):
        rest = total - sum(count for _, count in shown)
        print(f"and {len(counts) - len(shown)} more, with {quantity(rest, 'event')}; --json has all")
