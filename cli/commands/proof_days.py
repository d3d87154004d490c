"""`jira-relay proof show`, `seal`, `event`, `export` and `key`."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer

from cli.context import CommandContext, run
from cli.operator_context import ask_nothing, audit_logs, open_proof_sources
from cli.output import (
    JsonOption,
    align_columns,
    escape_controls,
    print_error,
    print_facts,
    print_json,
    print_wrapped,
)
from management.completeness.calendar import SIGNS, Calendar
from management.completeness.collect import ProofContext
from management.completeness.commands import (
    EventProof,
    export_seals,
    prove_event,
    show_calendars,
    show_counted,
)
from management.completeness.rounds import seal_again, seal_due
from management.completeness.sealing import SealResult, open_sealer
from management.completeness.show import ShownDay, days_between
from management.completeness.signature import SigningKey
from management.organizations.store import read_organizations, require_existing
from management.organizations.validation import InputError
from management.times import parse_time
from relay.errors import SettingsError, describe
from relay.quantities import quantity
from relay.timestamps import DAY_MS, day_of, now_ms

SHOWN_DAYS, MAX_DAYS = 14, 400
CountedOrganization = Annotated[
    str, typer.Argument(metavar="[NAME]", help="Name of an organization. Default: all.", show_default=False)
]
FirstDay = Annotated[str, typer.Option("--from", metavar="DAY", help="First day, as 2026-11-01, UTC.")]
LastDay = Annotated[str, typer.Option("--to", metavar="DAY", help="Last day. Default: today.")]
ListedAgain = Annotated[
    bool,
    typer.Option(
        "--source/--no-source", help="List the days in the audit log again, with the organization's key."
    ),
]


def show(
    context: typer.Context,
    organization: CountedOrganization = "",
    first: FirstDay = "",
    last: LastDay = "",
    source: ListedAgain = True,
    as_json: JsonOption = False,
) -> None:
    """Show which days are complete. With NAME, count its days now, at every hop, and name the ids of each difference.

    Without NAME, a calendar of all organizations is made of the seals alone. The default is the last two weeks.
    """
    state: CommandContext = context.obj
    days = _days(first, last)
    if not organization:
        late_days = state.settings.producer.late_days
        calendars = state.run_quietly(show_calendars(_proof_context(state), days, late_days))
        if as_json:
            print_json([each.document() for each in calendars])
        else:
            _print_calendars(calendars, days)
        return
    shown = state.run_quietly(_count(state, organization, days, source=source))
    if as_json:
        print_json([each.document() for each in shown])
    else:
        _print_days(shown)


async def _count(
    state: CommandContext, organization: str, days: Sequence[str], *, source: bool
) -> list[ShownDay]:
    found, late_days = _proof_context(state), state.settings.producer.late_days
    if not source:
        return await show_counted(found, organization, days, None, late_days)
    async with open_proof_sources(state) as sources:
        return await show_counted(found, organization, days, sources, late_days)


def seal(
    context: typer.Context,
    organization: CountedOrganization = "",
    day: Annotated[
        str,
        typer.Option("--day", metavar="DAY", help="Seal this sealed day again, if its account has changed."),
    ] = "",
    source: ListedAgain = True,
    as_json: JsonOption = False,
) -> None:
    """Seal the days for which no record can come late any more, and sealed days that have got other events since.

    Run it once a day. It lists each day in the audit log once.
    """
    state: CommandContext = context.obj
    if day and not organization:
        raise InputError("Name the organization of the day: jira-relay proof seal NAME --day DAY.")
    results = state.run_quietly(_seal(state, organization, _day(day) if day else "", source=source))
    if as_json:
        print_json(
            [
                {"organization": each.organization, "seals": list(each.seals), "failure": each.failure}
                for each in results
            ]
        )
    else:
        _print_results(results)
    if any(each.failure is not None for each in results):
        raise typer.Exit(1)


async def _seal(state: CommandContext, organization: str, day: str, *, source: bool) -> list[SealResult]:
    found, key = _proof_context(state), _signing_key(state)
    connection, late_days = found.connection, state.settings.producer.late_days
    organizations = await read_organizations(connection)
    if organization:
        require_existing(organizations.get(organization), organization)
    names = [organization] if organization else sorted(organizations)
    async with open_proof_sources(state) as sources, open_sealer(found, key) as sealer:
        source_of = audit_logs(sources, organizations) if source else ask_nothing
        if day:
            return [await seal_again(connection, sealer, organization, day, source_of)]
        return await seal_due(connection, sealer, names, source_of, late_days, now_ms)


def watch(context: typer.Context) -> None:
    """Count days once they end, seal them when no record can come late any more, and show each difference, until stopped.

    It runs in `jira-relay up` too. Of several, one works, and the others wait.
    """
    state: CommandContext = context.obj
    settings, key, connection = state.settings, _signing_key(state), state.external_connection()
    from cli.commands.run import run_alone  # noqa: PLC0415 - the other commands of proof are no service
    from cli.proof_service import proof_service  # noqa: PLC0415

    run(run_alone(settings, connection, lambda process: proof_service(process, key, process.health)))


def event(
    context: typer.Context,
    uid: Annotated[
        str, typer.Argument(metavar="ORGANIZATION/ID", help="The event, as EventUid has it in rows.")
    ],
    as_json: JsonOption = False,
) -> None:
    """Show whether the seal of its day covers one event: its hash, its place in the tree and the seal."""
    state: CommandContext = context.obj
    found: EventProof = state.run_quietly(prove_event(_proof_context(state), uid.strip()))
    if as_json:
        print_json(found.document())
    else:
        sealed = (
            [] if found.seal is None else [("root", found.seal["root"]), ("seal", _seal_text(found.seal))]
        )
        verdict = found.reason or f"The seal covers it, as leaf {found.index}."
        facts = [("event", found.event.uid), ("place", str(found.event.address)), ("day", found.day)]
        print_facts([*facts, ("content", found.content), *sealed, ("proof", verdict)])
    if found.reason is not None:
        raise typer.Exit(1)


def export(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="File to write.")],
    organizations: Annotated[
        list[str] | None,
        typer.Option("--organization", metavar="NAME", help="An organization; repeat it. Default: all."),
    ] = None,
    first: FirstDay = "",
    last: LastDay = "",
    events: Annotated[
        list[str] | None,
        typer.Option(
            "--event", metavar="ORGANIZATION/ID", help="Add the inclusion proof of an event; repeat it."
        ),
    ] = None,
) -> None:
    """Write one file with the seals of a time, for `proof verify`. It has no content of events."""
    state: CommandContext = context.obj
    days = _days(first, last)
    work = export_seals(
        _proof_context(state), _signing_key(state), organizations or (), days[0], days[-1], events or ()
    )
    data: bytes = state.run_quietly(work)
    try:
        file.write_bytes(data)
    except OSError as error:
        raise InputError(f"{file} cannot be written: {describe(error)}.") from error
    lines = len(data.splitlines()) - 1
    print_wrapped(f"{file} has {lines:,} seals and inclusion proofs.")
    print_wrapped(f"Tell the auditor the public key on another way: {_signing_key(state).name}")


def key(context: typer.Context) -> None:
    """Print the public key of the setting proof.key, which an auditor names to `proof verify --key`."""
    state: CommandContext = context.obj
    print(_signing_key(state).name)


def _proof_context(state: CommandContext) -> ProofContext:
    settings = state.settings
    return ProofContext(state.connection(), settings.schema_registry, settings.destinations, now_ms)


def _signing_key(state: CommandContext) -> SigningKey:
    found = state.settings.proof.key
    if found is None:
        raise SettingsError(
            "proof.key is not set, so nothing can be signed: make a key with `openssl rand -base64 32`, and set proof.key_file"
            " (RELAY_PROOF__KEY_FILE)."
        )
    return SigningKey.from_text(found.get_secret_value())


def _days(first: str, last: str) -> list[str]:
    end = _day(last) if last else day_of(now_ms())
    begin = _day(first) if first else day_of(parse_time(end) - (SHOWN_DAYS - 1) * DAY_MS)
    if not begin <= end or parse_time(end) - parse_time(begin) > MAX_DAYS * DAY_MS:
        raise InputError(f"--from {begin} --to {end} is no time of 1 to {MAX_DAYS} days.")
    return days_between(begin, end)


def _day(text: str) -> str:
    return day_of(parse_time(text))


def _print_calendars(calendars: Sequence[Calendar], days: Sequence[str]) -> None:
    print_wrapped(f"Each sign is a day, from {days[0]} to {days[-1]}.")
    rows = [
        [escape_controls(each.organization), "".join(SIGNS[day.word] for day in each.days)]
        for each in calendars
    ]
    for line in align_columns(rows):
        print(line)
    for each in calendars:
        if each.fault is not None:
            print_error(
                f"{each.organization}: the chain of seals is broken, so it proves nothing. {each.fault}"
            )
    signs = "  ".join(f"{sign} {word}" for word, sign in SIGNS.items())
    print_wrapped(f"{signs}. `jira-relay proof show NAME` counts its days.")


def _print_days(shown: Sequence[ShownDay]) -> None:
    rows = [["day", "state", "events", "audit log", "seal"]]
    rows += [
        [
            each.day,
            str(each.state),
            "" if each.events is None else f"{each.events:,}",
            "" if each.listed is None else f"{each.listed:,}",
            "" if each.seal is None else _seal_text(each.seal),
        ]
        for each in shown
    ]
    for line in align_columns(rows):
        print(line)
    for each in shown:
        for finding in each.findings:
            print_wrapped(f"{each.day}: {finding}")


def _print_results(results: Sequence[SealResult]) -> None:
    for each in results:
        for found in each.seals:
            reason = f" {found['reason']}" if found["reason"] else ""
            print_wrapped(
                f"{each.organization} {found['day']}: {found['state']}, {_seal_text(found)}.{reason}"
            )
        if each.failure is not None:
            print_error(f"{each.organization}: {each.failure}")
    days = quantity(sum(len(each.seals) for each in results), "day")
    print_wrapped(f"Sealed now: {days} of {quantity(len(results), 'organization')}.")


def _seal_text(seal: Mapping[str, object]) -> str:
    return f"number {seal['sequence']}, edition {seal['edition']}"
