"""`jira-relay events`."""

import json
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from cli.context import CommandContext, current_operator
from cli.output import JsonOption, print_facts, print_json, print_wrapped
from management.events.delivery_words import DeliveryFinding
from management.events.lookup import find_event, read_event_deliveries
from management.events.query import read_query
from management.events.stored_event import EventAddress, StoredEvent, read_event
from management.organizations.validation import InputError
from management.personal_data import record_view
from relay.timestamps import now_ms

app = typer.Typer(no_args_is_help=True)


@app.callback()
def events() -> None:
    """Find an event in Kafka, and show what became of it."""


@app.command()
def show(
    context: typer.Context,
    uid: Annotated[
        str,
        typer.Argument(
            metavar="ORGANIZATION/ID", help="The event, as EventUid has it in rows.", show_default=False
        ),
    ] = "",
    at: Annotated[
        str | None,
        typer.Option(
            "--at",
            metavar="PLACE",
            help="Its place in Kafka instead: TOPIC/PARTITION/OFFSET (events/3/1700).",
        ),
    ] = None,
    since: Annotated[
        str,
        typer.Option(
            "--from", metavar="TIME", help="Search no events that were collected before: ISO 8601, UTC."
        ),
    ] = "",
    personal: Annotated[
        bool,
        typer.Option(
            "--personal", help="Show personal data too. The history of changes records that you have seen it."
        ),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Show one event: Jira's record, its place in Kafka, and what became of it at each destination.

    Values that may be personal are hidden unless --personal is given. The search goes from the newest event back, through all that
    Kafka has of the organization; --from ends it earlier.
    """
    if bool(uid) == (at is not None):
        raise InputError("Name one event: ORGANIZATION/ID, or its place with --at TOPIC/PARTITION/OFFSET.")
    state: CommandContext = context.obj
    found, deliveries = state.run_quietly(_read(state, uid.strip(), at, since, personal=personal))
    if as_json:
        destinations = [each.document() for each in deliveries]
        print_json(found.document(personal=personal) | {"destinations": destinations})
        return
    print_facts(_facts(found, personal=personal))
    _print_deliveries(deliveries)


async def _read(
    state: CommandContext, uid: str, at: str | None, since: str, *, personal: bool
) -> tuple[StoredEvent, list[DeliveryFinding]]:
    connection, settings = state.connection(), state.settings
    registry = settings.schema_registry
    if at is not None:
        found = await read_event(connection, registry, EventAddress.parse(at))
    else:
        found = await find_event(connection, registry, read_query({"id": uid, "from": since}), uid)
    if personal:
        await record_view(connection, found.organization, found.uid, current_operator(), now_ms())
    return found, await read_event_deliveries(connection, settings.destinations, found)


def _facts(found: StoredEvent, *, personal: bool) -> list[tuple[str, str]]:
    """Return name and value of each field that has a value."""
    place = f"{found.address} ({found.full_topic}, partition {found.address.partition}, offset {found.address.offset})"
    facts = [("event", found.uid), ("place", place)]
    if found.replay is not None:
        facts.append(("replay", found.replay))
    if found.trace_id is not None:
        facts.append(("trace id", found.trace_id))
    record = found.shown(personal=personal)
    return [*facts, *((name, _text(value)) for name, value in record.items() if value not in (None, [], {}))]


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _print_deliveries(deliveries: Sequence[DeliveryFinding]) -> None:
    print()
    if not deliveries:
        print_wrapped("The settings have no destination.")
    for each in deliveries:
        letter = "" if each.letter is None else f" See `jira-relay dead-letters show {each.letter}`."
        print_wrapped(f"{each.destination}: {each.word}. {each.sentence}{letter}")
