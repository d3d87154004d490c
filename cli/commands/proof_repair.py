"""`jira-relay proof repair`."""

from typing import Annotated

import typer

from cli.context import CommandContext, current_operator
from cli.operator_context import open_proof_sources, record_parser
from cli.output import JsonOption, print_json, print_wrapped
from cli.start_question import require_person
from management.completeness.collect import ProofContext
from management.completeness.day_editions import parse_day
from management.completeness.repair import RepairContext, RepairPlan, plan_repair, run_repair
from management.organizations.store import read_organizations, require_existing
from relay.timestamps import now_ms

NOT_DONE = "Nothing was repaired"


def repair(
    context: typer.Context,
    organization: Annotated[str, typer.Argument(metavar="NAME", help="Name of an organization.")],
    day: Annotated[str, typer.Argument(metavar="DAY", help="The day, as 2026-11-01, UTC.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the plan, and do nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do what the plan says without a question.")] = False,
    to_live: Annotated[
        bool,
        typer.Option(
            "--to-live",
            help="Send events to where new events go, so that rules see them; default: to history.",
        ),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Count a day, and do what its differences ask for, once you confirm.

    Events that Kafka lacks are read from the audit log again; events that a destination lost or skipped are replayed to it; dead
    letters are redriven. The history of changes records who did it.
    """
    state: CommandContext = context.obj
    found = RepairContext(_proof_context(state), record_parser(), current_operator(), to_live)
    plan = state.run_quietly(_plan(state, found, organization, parse_day(day)))
    if dry_run or not plan.does_something:
        _print_plan(plan, as_json=as_json)
        return
    if not as_json:
        _print_plan(plan, as_json=False)
    if not yes:
        require_person(NOT_DONE, as_json=as_json)
        typer.confirm("Do it?", abort=True)
    done = state.run_quietly(run_repair(found, plan))
    if as_json:
        print_json(plan.document() | {"done": done})
        return
    for text in done:
        print_wrapped(f"Started: {text}")
    print_wrapped(
        "`jira-relay replay list` shows how far they are. The day is counted again in the next round, and `jira-relay proof show` counts it"
        " at once."
    )


async def _plan(state: CommandContext, found: RepairContext, organization: str, day: str) -> RepairPlan:
    known = (await read_organizations(found.connection)).get(organization)
    async with open_proof_sources(state) as sources:
        source = sources.source_for(require_existing(known, organization))
        return await plan_repair(found, organization, day, source)


def _proof_context(state: CommandContext) -> ProofContext:
    settings = state.settings
    return ProofContext(state.connection(), settings.schema_registry, settings.destinations, now_ms)


def _print_plan(plan: RepairPlan, *, as_json: bool) -> None:
    if as_json:
        print_json(plan.document())
        return
    print_wrapped(f"{plan.day} of {plan.organization} is {plan.state}.")
    for text in plan.findings:
        print_wrapped(text)
    for each in plan.steps:
        print_wrapped(f"- {each.text}" if each.step == "nothing" else f"- To do: {each.text}")
    if not plan.does_something:
        print_wrapped("Nothing can be mended by a job.")
