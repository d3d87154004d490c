"""Tables that stay readable at 80 columns: no cell is broken over lines, and equal explanations are below the table, once."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated

import typer
from rich.cells import cell_len

from cli.output import align_columns, escape_controls, wrap

WideOption = Annotated[
    bool, typer.Option("--wide", help="Show all columns and full times, each row on one line of any length.")
]

MAX_NAMES = 5

_GAP = "  "


@dataclass(frozen=True, slots=True)
class TableRow:
    """A row of a table. `explanation`: a text that rows may share; it is below the table, under a number.

    `specific`: the explanation if no other row shares it.
    """

    cells: tuple[str, ...]
    explanation: str = ""
    specific: str = ""


def print_rows(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print aligned columns, each row on one line of any length."""
    for line in align_columns([[title.upper() for title in titles], *map(_escape, rows)]):
        print(line)


def print_table(
    titles: Sequence[str], rows: Sequence[TableRow], noun: str, *, numbered: int, width: int
) -> None:
    """Print the table for a terminal of this width; see `render_table`."""
    for line in render_table(titles, rows, noun, numbered=numbered, width=width):
        print(line)


def render_table(
    titles: Sequence[str], rows: Sequence[TableRow], noun: str, *, numbered: int, width: int
) -> list[str]:
    """Return the lines: the rows, then each explanation once, wrapped. `numbered`: the column that shows its number.

    `noun`: one row, in the singular. Empty columns are left out. Columns that do not fit are left out too, the last first, and named; those up to `numbered`
    always remain.
    """
    texts = [text for text in dict.fromkeys(row.explanation for row in rows) if text]
    cells = [[title.upper() for title in titles]]
    for row in rows:
        escaped = _escape(row.cells)
        if row.explanation:
            escaped[numbered] += f" [{texts.index(row.explanation) + 1}]"
        cells.append(escaped)
    filled = [
        number
        for number in range(len(titles))
        if number <= numbered or any(line[number] for line in cells[1:])
    ]
    kept = filled[
        : _fitting_count([[line[number] for number in filled] for line in cells], numbered + 1, width)
    ]
    lines = align_columns([[line[number] for number in kept] for line in cells])
    for number, text in enumerate(texts, 1):
        sharing = [row for row in rows if row.explanation == text]
        lines += [*([""] if number == 1 else []), *_explanation_lines(number, sharing, noun, width)]
    if left_out := [titles[number] for number in filled if number not in kept]:
        lines += ["", *wrap(f"Too narrow for {', '.join(left_out)}; --wide shows all columns.", width)]
    return lines


def count_line(total: int, noun: str, words: Iterable[str], shown: int | None = None) -> str:
    """Return `60 organizations: 58 failing, 2 active`, in the order of the words' first use. `shown`: of that many."""
    counted = ", ".join(f"{count} {word}" for word, count in Counter(words).items())
    selected = "" if shown is None or shown == total else f"{shown} of "
    return f"{selected}{total} {noun}{'s' if total != 1 else ''}{f': {counted}' if counted else ''}"


def list_names(names: Sequence[str]) -> str:
    """Return the first names, and how many more there are."""
    more = len(names) - MAX_NAMES
    return ", ".join(names[:MAX_NAMES]) + (f" and {more} more" if more > 0 else "")


def _fitting_count(cells: Sequence[Sequence[str]], required: int, width: int) -> int:
    widths = [max(map(cell_len, column)) for column in zip(*cells, strict=True)]
    count = len(widths)
    while count > required and sum(widths[:count]) + len(_GAP) * (count - 1) > width:
        count -= 1
    return count


def _explanation_lines(number: int, rows: Sequence[TableRow], noun: str, width: int) -> list[str]:
    mark, first = f"[{number}] ", rows[0]
    text = (
        first.specific or first.explanation if len(rows) == 1 else f"{len(rows)} {noun}s: {first.explanation}"
    )
    return wrap(mark + escape_controls(text), width, " " * len(mark))


def _escape(cells: Iterable[str]) -> list[str]:
    return [escape_controls(cell) for cell in cells]
