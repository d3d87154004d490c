"""How dead letters are printed: tables, one letter with its content, and JSON."""

import sys
from collections.abc import Sequence

from cli.output import escape_controls, print_facts, print_json, print_wrapped
from cli.table import TableRow, print_rows, print_table
from management.dead_letter_documents import STATES, decode_text
from management.dead_letter_list import LetterListing, ListedLetter
from management.dead_letter_summary import ReasonGroup
from management.dead_letters import DeadLetterContent
from management.formatting import age, iso_seconds

TITLES = ("Where", "Written", "By", "Organization", "State")
_WIDE_TITLES = ("Where", "At", "Organization", "Written by", "State", "Reason")
_GROUP_TITLES = ("By", "Letters", "Open", "First", "Last")
_WIDE_GROUP_TITLES = ("Written by", "Letters", *map(str.capitalize, STATES), "First", "Last", "Reason")

_MAX_GROUPS = 20
_BYTES_PER_LINE = 32


def print_groups(groups: Sequence[ReasonGroup], now: int, width: int | None) -> None:
    """Print the number of letters by writer and reason. `width` None: each group on one line, with full times."""
    if width is None:
        print_rows(_WIDE_GROUP_TITLES, [_wide_group_row(group) for group in groups])
        return
    rows = [TableRow(_group_cells(group, now), group.reason) for group in groups[:_MAX_GROUPS]]
    print_table(_GROUP_TITLES, rows, "reason", numbered=0, width=width)
    if len(groups) > _MAX_GROUPS:
        print_wrapped(f"\nAnd {len(groups) - _MAX_GROUPS:,} more reasons; `--counts --wide` shows all.")


def print_letters(letters: Sequence[ListedLetter], now: int, width: int | None) -> None:
    """Print letters. `width` None: each on one line, with full times."""
    if width is None:
        print_rows(_WIDE_TITLES, [_wide_row(each) for each in letters])
    else:
        rows = [dead_letter_row(each, now) for each in letters]
        print_table(TITLES, rows, "dead letter", numbered=0, width=width)


def summary_line(listing: LetterListing) -> str:
    """Return `10,000 dead letters: 9,999 open, 1 redriven. The newest 50 are shown; --limit shows more.`"""
    states = ", ".join(f"{count:,} {state}" for state, count in listing.states.most_common())
    text = f"{listing.count:,} dead letter{'s'[: listing.count != 1]}: {states}."
    shown = len(listing.newest)
    return text if shown == listing.count else f"{text} The newest {shown:,} are shown; --limit shows more."


def print_dead_letter(found: DeadLetterContent, explanation: Sequence[str]) -> None:
    """Print the explanation, the headers, and the content: as JSON if it is decoded, else as text or in hexadecimal."""
    letter, decoded = found.dead_letter, found.decoded
    for text in explanation:
        print_wrapped(text)
    print()
    facts = [
        ("where", letter.address),
        ("at", iso_seconds(letter.at)),
        ("organization", letter.organization or ""),
        *((name, value) for name, value in letter.headers.items() if name != "at"),
        *([] if decoded is None else [("schema", decoded.subject)]),
    ]
    print_facts(facts)
    if found.remark is not None:
        print(f"\n{escape_controls(found.remark)}")
    print()
    if decoded is not None:
        print_json(decoded.record)
    else:
        print(_readable(found.content))


def print_raw(content: bytes) -> None:
    """Write the bytes to standard output as they are; to a terminal, hexadecimal unless they are text."""
    if sys.stdout is None:
        return
    if sys.stdout.isatty():
        print(_readable(content))
        return
    sys.stdout.flush()
    sys.stdout.buffer.write(content)
    sys.stdout.buffer.flush()


def dead_letter_row(listed: ListedLetter, now: int) -> TableRow:
    """Return the row for a terminal, with its age. Dead letters of one reason share an explanation."""
    letter = listed.letter
    cells = (letter.address, age(letter.at, now), letter.written_by, letter.organization or "", listed.state)
    return TableRow(cells, letter.reason)


def _wide_row(listed: ListedLetter) -> tuple[str, ...]:
    letter = listed.letter
    return (
        letter.address,
        iso_seconds(letter.at),
        letter.organization or "",
        letter.written_by,
        listed.state,
        letter.reason,
    )


def _group_cells(group: ReasonGroup, now: int) -> tuple[str, ...]:
    counts = (f"{group.count:,}", f"{group.states['open']:,}")
    return (group.written_by, *counts, age(group.first_at, now), age(group.last_at, now))


def _wide_group_row(group: ReasonGroup) -> tuple[str, ...]:
    states = (group.states[each] for each in STATES)
    times = (iso_seconds(group.first_at), iso_seconds(group.last_at))
    return (group.written_by, str(group.count), *map(str, states), *times, group.reason)


def _readable(content: bytes) -> str:
    text = decode_text(content)
    if text is not None:
        return "\n".join(map(escape_controls, text.split("\n")))
    starts = range(0, len(content), _BYTES_PER_LINE)
    return "\n".join(content[start : start + _BYTES_PER_LINE].hex(" ") for start in starts)
