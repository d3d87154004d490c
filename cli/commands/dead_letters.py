"""`jira-relay dead-letters`."""

from typing import Annotated, Any

import typer

from cli.context import CommandContext
from cli.output import JsonOption, escape_controls, print_facts, print_json, print_table
from management.dead_letters import (
    DeadLetter,
    DeadLetterContent,
    parse_address,
    read_dead_letter,
    read_newest,
)
from management.formatting import iso_milliseconds, iso_seconds

app = typer.Typer(
    help="Show the records that could not be read or delivered, with the reason.", no_args_is_help=True
)

_BYTES_PER_LINE = 32


@app.command("list")
def list_dead_letters(
    context: typer.Context,
    organization: Annotated[str | None, typer.Option(help="Show those of one organization alone.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="Number of dead letters, newest first.")] = 50,
    as_json: JsonOption = False,
) -> None:
    """List the newest dead letters."""
    state: CommandContext = context.obj
    dead_letters: list[DeadLetter] = state.run_quietly(read_newest(state.connection(), limit, organization))
    if as_json:
        print_json([_document(dead_letter) for dead_letter in dead_letters])
    elif not dead_letters:
        print("There are no dead letters.")
    else:
        print_table(
            ("Where", "At", "Organization", "Written by", "Reason"), list(map(_table_row, dead_letters))
        )


@app.command()
def show(
    context: typer.Context,
    address: Annotated[
        str, typer.Argument(metavar="PARTITION/OFFSET", help="Address, as `dead-letters list` shows it.")
    ],
    as_json: JsonOption = False,
) -> None:
    """Show one dead letter: its reason and its original bytes, as text if they are text, else in hexadecimal."""
    state: CommandContext = context.obj
    found: DeadLetterContent = state.run_quietly(
        read_dead_letter(state.connection(), *parse_address(address))
    )
    text = _decode_text(found.content)
    if as_json:
        content = {"hex": found.content.hex()} if text is None else {"text": text}
        print_json(_document(found.dead_letter) | {"remark": found.remark} | content)
        return
    dead_letter = found.dead_letter
    facts = [
        ("where", dead_letter.address),
        ("at", iso_seconds(dead_letter.at)),
        ("organization", dead_letter.organization or ""),
    ]
    print_facts([*facts, *((name, value) for name, value in dead_letter.headers.items() if name != "at")])
    if found.remark is not None:
        print(f"\n{escape_controls(found.remark)}")
    print()
    print(_hex_dump(found.content) if text is None else "\n".join(map(escape_controls, text.split("\n"))))


def _table_row(dead_letter: DeadLetter) -> tuple[str, ...]:
    by = dead_letter.headers.get("destination") or dead_letter.headers.get("service", "")
    return (
        dead_letter.address,
        iso_seconds(dead_letter.at),
        dead_letter.organization or "",
        by,
        dead_letter.headers.get("reason", ""),
    )


def _document(dead_letter: DeadLetter) -> dict[str, Any]:
    return {
        "partition": dead_letter.partition,
        "offset": dead_letter.offset,
        "at": iso_milliseconds(dead_letter.at),
        "organization": dead_letter.organization,
        "size": dead_letter.size,
        "headers": {f"relay.{name}": value for name, value in dead_letter.headers.items()},
    }


def _decode_text(content: bytes) -> str | None:
    """Decode UTF-8 that a terminal can show. None: the content is not such text."""
    try:
        text = content.decode()
    except UnicodeDecodeError:
        return None
    return text if all(char.isprintable() or char in "\n\r\t" for char in text) else None


def _hex_dump(content: bytes) -> str:
    starts = range(0, len(content), _BYTES_PER_LINE)
    return "\n".join(content[start : start + _BYTES_PER_LINE].hex(" ") for start in starts)
