"""The output of commands. Text from outside can neither begin a line of its own nor control the terminal."""

import json
import re
import shutil
import sys
import textwrap
from collections.abc import Sequence
from typing import Annotated, Any

import typer
from rich.cells import cell_len

JSON_FLAG = "--json"
JsonOption = Annotated[bool, typer.Option(JSON_FLAG, help="Print one JSON document.")]

MIN_WIDTH = 40

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


def align_columns(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return a line for each row. An empty cell becomes a hyphen, so that every line has the same number of columns."""
    filled = [[cell or "-" for cell in row] for row in rows]
    widths = [max(map(cell_len, column)) for column in zip(*filled, strict=True)]
    return [
        "  ".join(
            cell + " " * (width - cell_len(cell)) for cell, width in zip(row, widths, strict=True)
        ).rstrip()
        for row in filled
    ]


def print_facts(facts: Sequence[tuple[str, str]]) -> None:
    """Print a line for each name and value, with the values aligned; on a terminal, long values are wrapped beside the names."""
    width, terminal = max((len(name) for name, _ in facts), default=0), terminal_width()
    for name, value in facts:
        line = f"{name.ljust(width)}  {escape_controls(value)}".rstrip()
        print(line if terminal is None else "\n".join(wrap(line, terminal, " " * (width + 2))))


def terminal_width() -> int | None:
    """Return the width of the terminal that standard output is. None: it is none, so each row is one line."""
    return max(MIN_WIDTH, shutil.get_terminal_size().columns) if _is_terminal() else None


def _is_terminal() -> bool:
    return sys.stdout is not None and sys.stdout.isatty()


def wrap(text: str, width: int, indent: str = "") -> list[str]:
    """Return the text in lines of at most `width`; lines after the first are indented. Only spaces are broken at."""
    return textwrap.wrap(
        text, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )


def print_wrapped(text: str) -> None:
    """Print a sentence; on a terminal, in lines of its width. A line break at its begin remains."""
    if text.startswith("\n"):
        print()
    escaped, width = escape_controls(text.lstrip("\n")), terminal_width()
    print(escaped if width is None else "\n".join(wrap(escaped, width)))
