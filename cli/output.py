"""The output of commands. Text from outside can neither begin a line of its own nor control the terminal."""

import json
import re
import sys
from collections.abc import Sequence
from typing import Annotated, Any

import typer
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

JSON_FLAG = "--json"
JsonOption = Annotated[bool, typer.Option(JSON_FLAG, help="Print one JSON document.")]

_CONTROLS = re.compile("[\x7f-\x9f\u2028-\u202e\u2066-\u2069]")


def escape_controls(text: str) -> str:
    """Return the text on one line, with each unprintable character as a JSON escape."""
    return "".join(char if char.isprintable() else json.dumps(char)[1:-1] for char in text)


def print_error(message: str) -> None:
    """Print the message to standard error."""
    for sentence in message.splitlines():
        print(escape_controls(sentence), file=sys.stderr)


def print_json(document: Any) -> None:
    """Print the document, with control characters escaped that JSON allows and a terminal may act on."""
    text = json.dumps(document, indent=2, ensure_ascii=False)
    print(_CONTROLS.sub(lambda found: f"\\u{ord(found[0]):04x}", text))


def print_table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a drawn table on a terminal, and aligned columns elsewhere. The last column may be long."""
    cells = [[escape_controls(cell) for cell in row] for row in rows]
    if sys.stdout is not None and sys.stdout.isatty():
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        for title in titles:
            table.add_column(title, overflow="fold")
        for row in cells:
            table.add_row(*map(Text, row))
        Console().print(table)
        return
    for line in align_columns([[title.upper() for title in titles], *cells]):
        print(line)


def align_columns(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return a line for each row. An empty cell becomes a hyphen, so that every line has the same number of columns."""
    filled = [[cell or "-" for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*filled, strict=True)]
    return ["  ".join(map(str.ljust, row, widths)).rstrip() for row in filled]


def print_facts(facts: Sequence[tuple[str, str]]) -> None:
    """Print a line for each name and value, with the values aligned."""
    width = max((len(name) for name, _ in facts), default=0)
    for name, value in facts:
        print(f"{name.ljust(width)}  {escape_controls(value)}".rstrip())
