"""`jira-relay proof`."""

from pathlib import Path
from typing import Annotated

import typer

from cli.commands import proof_days, proof_repair
from cli.output import JsonOption, print_error, print_json, print_wrapped
from management.completeness.verifier import RefusedError, report, require_continued, verify
from management.organizations.validation import InputError
from relay.errors import describe

app = typer.Typer(no_args_is_help=True)


@app.callback()
def proof() -> None:
    """Show, sign and verify that nothing is missing: the audit log, Kafka and each destination have the same events of a day."""


@app.command("verify")
def verify_file(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The file of `proof export`.")],
    keys: Annotated[
        list[str] | None,
        typer.Option(
            "--key",
            metavar="KEY",
            help="A public key that may sign, as the operator of the relay told you; repeat it after a rotation.",
        ),
    ] = None,
    after: Annotated[
        Path | None,
        typer.Option(metavar="EARLIER", help="An earlier file, whose chains must go on in this one."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Verify a file of day seals, without Kafka and without the relay's settings.

    Refused is a file with a changed byte, a seal left out, a chain that is cut, or a signature of another key. Without --key, anybody
    may have signed the file. With --after, a file is refused too that does not continue an earlier one.
    """
    try:
        found = verify(_read(file), keys or None)
        if after is not None:
            require_continued(found, verify(_read(after), keys or None))
    except RefusedError as error:
        print_error(f"REFUSED. {error}")
        raise typer.Exit(1) from error
    if as_json:
        print_json(
            {
                "from": found.header["from"],
                "to": found.header["to"],
                "exported_at": found.header["exported_at"],
                "days": dict(found.days),
                "seals": found.seals,
                "events": found.events,
                "keys": list(found.keys),
                "keys_trusted": bool(keys),
                "notes": list(found.notes),
            }
        )
        return
    for text in report(found, bool(keys)):
        print_wrapped(text)


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise InputError(f"{file} cannot be read: {describe(error)}.") from error


app.command("show")(proof_days.show)
app.command("seal")(proof_days.seal)
app.command("watch")(proof_days.watch)
app.command("repair")(proof_repair.repair)
app.command("event")(proof_days.event)
app.command("export")(proof_days.export)
app.command("key")(proof_days.key)
