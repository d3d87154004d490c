"""`jira-relay dead-letters`."""

import sys
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from cli.context import CommandContext
from cli.output import JsonOption, escape_controls, print_facts, print_json, print_wrapped, terminal_width
from cli.table import TableRow, WideOption, count_line, print_rows, print_table
from management.dead_letters import (
    DeadLetter,
    DeadLetterContent,
    parse_address,
    read_dead_letter,
    read_newest,
)
from management.formatting import age, iso_milliseconds, iso_seconds
from relay.timestamps import now_ms

app = typer.Typer(
    help="Show the records that could not be read or delivered, with the reason.", no_args_is_help=True
)

TITLES = ("Where", "Written", "By", "Organization")
_WIDE_TITLES = ("Where", "At", "Organization", "Written by", "Reason")
_BYTES_PER_LINE = 32


@app.command("list")
def list_dead_letters(
    context: typer.Context,
    organization: Annotated[
        str | None, typer.Option(help="Show only the dead letters of this organization.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="Number of dead letters, newest first.")] = 50,
    wide: WideOption = False,
    as_json: JsonOption = False,
) -> None:
    """List the newest dead letters, each with the reason.

    Where standard output is no terminal, each dead letter is one line, with all columns and full times.
    """
    state: CommandContext = context.obj
    dead_letters: list[DeadLetter] = state.run_quietly(read_newest(state.connection(), limit, organization))
    width = terminal_width()
    if as_json:
        print_json([_document(dead_letter) for dead_letter in dead_letters])
    elif not dead_letters:
        print("There are no dead letters.")
    elif wide or width is None:
        print_rows(_WIDE_TITLES, list(map(_wide_row, dead_letters)))
    else:
        rows = [dead_letter_row(dead_letter, now_ms()) for dead_letter in dead_letters]
        print_table(TITLES, rows, "dead letter", numbered=0, width=width)
    if dead_letters and width is not None and not as_json:
        print_wrapped(f"\n{_summary(dead_letters, limit)}")


@app.command()
def show(
    context: typer.Context,
    address: Annotated[
        str, typer.Argument(metavar="PARTITION/OFFSET", help="Address, as `dead-letters list` shows it.")
    ],
    raw: Annotated[
        bool,
        typer.Option(
            "--raw",
            help="Print only the original bytes (on a terminal: hexadecimal, unless they are text).",
        ),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Show one dead letter: its reason and its content.

    A record of the relay (Avro) is shown as JSON if its schema is known, and other bytes as text or in hexadecimal.
    """
    state: CommandContext = context.obj
    registry = None if raw else state.settings.schema_registry
    found: DeadLetterContent = state.run_quietly(
        read_dead_letter(state.connection(), *parse_address(address), registry)
    )
    text = _decode_text(found.content)
    if as_json:
        print_json(_content_document(found, text))
    elif raw:
        _print_raw(found.content, text)
    else:
        _print_dead_letter(found, text)


def _content_document(found: DeadLetterContent, text: str | None) -> dict[str, Any]:
    content = {"hex": found.content.hex()} if text is None else {"text": text}
    decoded = (
        {} if found.decoded is None else {"subject": found.decoded.subject, "record": found.decoded.record}
    )
    return _document(found.dead_letter) | {"remark": found.remark} | content | decoded


def _print_dead_letter(found: DeadLetterContent, text: str | None) -> None:
    dead_letter, decoded = found.dead_letter, found.decoded
    facts = [
        ("where", dead_letter.address),
        ("at", iso_seconds(dead_letter.at)),
        ("organization", dead_letter.organization or ""),
        *((name, value) for name, value in dead_letter.headers.items() if name != "at"),
        *([] if decoded is None else [("schema", decoded.subject)]),
    ]
    print_facts(facts)
    if found.remark is not None:
        print(f"\n{escape_controls(found.remark)}")
    print()
    if decoded is not None:
        print_json(decoded.record)
    else:
        print(_hex_dump(found.content) if text is None else _escape_lines(text))


def _print_raw(content: bytes, text: str | None) -> None:
    if sys.stdout is None:
        return
    if sys.stdout.isatty():
        print(_hex_dump(content) if text is None else _escape_lines(text))
        return
    sys.stdout.flush()
    sys.stdout.buffer.write(content)


def _escape_lines(text: str) -> str:
    return "\n".join(map(escape_controls, text.split("\n")))


def dead_letter_row(dead_letter: DeadLetter, now: int) -> TableRow:
    """Return the row for a terminal, with its age. Dead letters of one reason share an explanation."""
    cells = (
        dead_letter.address,
        age(dead_letter.at, now),
        _written_by(dead_letter),
        dead_letter.organization or "",
    )
    return TableRow(cells, dead_letter.headers.get("reason", ""))


def _wide_row(dead_letter: DeadLetter) -> tuple[str, ...]:
    return (
        dead_letter.address,
        iso_seconds(dead_letter.at),
        dead_letter.organization or "",
        _written_by(dead_letter),
        dead_letter.headers.get("reason", ""),
    )


def _written_by(dead_letter: DeadLetter) -> str:
    return dead_letter.headers.get("destination") or dead_letter.headers.get("service", "")


def _summary(dead_letters: Sequence[DeadLetter], limit: int) -> str:
    counts = count_line(
        len(dead_letters), "dead letter", (f"by {_written_by(each) or 'unknown'}" for each in dead_letters)
    )
    more = " There may be older ones; --limit shows more." if len(dead_letters) == limit else ""
    return f"{counts}.{more}" if more else counts


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
