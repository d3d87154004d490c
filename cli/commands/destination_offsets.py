"""`jira-relay destinations offsets`, `rewind` and `skip`."""

from collections.abc import Sequence
from typing import Annotated, Any

import typer

from cli.context import CommandContext, current_operator
from cli.output import JsonOption, print_error, print_json, print_wrapped
from cli.start_question import require_person
from cli.table import print_rows
from consumer.destinations.contract import Flow
from management.destination_move import PlannedMove, move, plan
from management.destination_offsets import FlowOffsets, read_offsets
from management.destinations import require_known
from management.lost_ranges import LostRanges, read_lost_ranges
from management.offset_moves import Direction
from management.offset_texts import move_document, move_text
from management.times import parse_time
from relay.timestamps import now_ms

DestinationArgument = Annotated[str, typer.Argument(help="Name of the destination in the settings.")]
FlowOption = Annotated[
    Flow, typer.Option(help="live: the events of the live topic. history: those of backfill.")
]
YesOption = Annotated[bool, typer.Option("--yes", help="Move the offsets without asking.")]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Count the events, and change nothing.")]

_MAX_ORGANIZATIONS = 10


def offsets(context: typer.Context, name: DestinationArgument, as_json: JsonOption = False) -> None:
    """Show the committed offset of each partition, the end of its log, and how many consumers read it."""
    state: CommandContext = context.obj
    require_known(state.settings.destinations, name)
    connection = state.connection()
    found: list[FlowOffsets] = state.run_quietly(read_offsets(connection, name))
    lost: LostRanges = state.run_quietly(
        read_lost_ranges(connection, state.settings.destinations, name, now_ms())
    )
    if as_json:
        print_json([_flow_document(flow, lost) for flow in found])
        return
    for flow in found:
        print_wrapped(f"{flow.flow}: group {flow.group} on {flow.topic}, {_members_text(flow.members)}")
        print_rows(("partition", "committed", "delivered ahead", "end", "lag"), _rows(flow))
        print()
    if lost.ranges or lost.unreadable:
        print_wrapped(
            f"Kafka deleted events before they were accepted. `jira-relay destinations lost {name}` lists them, each range with the"
            " command that brings it back."
        )


def rewind(
    context: typer.Context,
    name: DestinationArgument,
    to: Annotated[
        str,
        typer.Option(
            metavar="TIME",
            help="Deliver every event again that was collected at this time or later: 2026-11-25T08:00Z, 2026-11-25 (UTC).",
            show_default=False,
        ),
    ],
    flow: FlowOption = "live",
    dry_run: DryRunOption = False,
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Deliver events again, from a time on, to a paused destination. They are counted first, and you are asked.

    They go where new events go, so they may raise alarms a second time.
    """
    _move(context.obj, name, flow, "rewind", parse_time(to), dry_run=dry_run, yes=yes, as_json=as_json)


def skip(
    context: typer.Context,
    name: DestinationArgument,
    to: Annotated[
        str,
        typer.Option(
            metavar="TIME|end",
            help="Leave out every event that was collected before this time (as for rewind); end: all that are in Kafka now.",
            show_default=False,
        ),
    ],
    flow: FlowOption = "live",
    dry_run: DryRunOption = False,
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Leave events out, up to a time, at a paused destination. They are counted first, and you are asked.

    They stay in Kafka as long as the topic keeps them, and `rewind` brings them back until then.
    """
    to_ms = None if to == "end" else parse_time(to)
    _move(context.obj, name, flow, "skip", to_ms, dry_run=dry_run, yes=yes, as_json=as_json)


def _move(
    state: CommandContext,
    name: str,
    flow: Flow,
    direction: Direction,
    to_ms: int | None,
    *,
    dry_run: bool,
    yes: bool,
    as_json: bool,
) -> None:
    require_known(state.settings.destinations, name)
    planned: PlannedMove = state.run_quietly(plan(state.connection(), name, flow, direction, to_ms))
    if not as_json:
        _print_plan(planned)
    moved, failure = False, None
    if planned.moves and not dry_run:
        if not yes:
            _ask(as_json=as_json)
        failure = state.run_quietly(move(state.connection(), planned, current_operator(), now_ms()))
        moved = True
    if as_json:
        print_json(move_document(planned, moved=moved))
    elif moved:
        print_wrapped(f"Done. Run `jira-relay destinations resume {name}` to go on.")
    if failure is not None:
        print_error(failure)
        raise typer.Exit(1)


def _ask(*, as_json: bool) -> None:
    require_person("The offsets were not moved", as_json=as_json)
    typer.confirm("Move the offsets?", abort=True)


def _print_plan(planned: PlannedMove) -> None:
    print_wrapped(move_text(planned))
    if not planned.moves:
        return
    counts = planned.counts
    most = counts.by_organization.most_common(_MAX_ORGANIZATIONS)
    if most:
        print_rows(("organization", "events"), [(organization, f"{count:,}") for organization, count in most])
    if len(counts.by_organization) > len(most):
        print(f"and {len(counts.by_organization) - len(most)} more organizations")
    for note in planned.notes:
        print_wrapped(note)


def _rows(flow: FlowOffsets) -> Sequence[Sequence[str]]:
    return [
        (
            str(each.partition),
            "" if each.progress is None else str(each.progress.offset),
            "" if each.progress is None else str(len(each.progress.delivered_ahead) or ""),
            str(each.log_end),
            f"{each.lag:,}",
        )
        for each in flow.partitions
    ]


def _members_text(members: int | None) -> str:
    if members is None:
        return "consumers are joining"
    return "no consumer" if members == 0 else f"{members} consumer{'s'[: members > 1]}"


def _flow_document(flow: FlowOffsets, lost: LostRanges) -> dict[str, Any]:
    return {
        "flow": flow.flow,
        "group": flow.group,
        "topic": flow.topic,
        "consumers": flow.members,
        "lost_ranges": [each.name for each in lost.ranges if each.topic == flow.topic],
        "partitions": [
            {
                "partition": each.partition,
                "committed": None if each.progress is None else each.progress.offset,
                "delivered_ahead": []
                if each.progress is None
                else [[ahead.first, ahead.stop] for ahead in each.progress.delivered_ahead],
                "log_start": each.log_start,
                "end": each.log_end,
                "lag": each.lag,
            }
            for each in flow.partitions
        ],
    }
