"""The rows that the pages of one window have shown. Pure.

A row that pages show several times is one record, even if its content has changed: Jira shows the present name of a user in
old records too. So id and `created` identify it, and the content does not. A faulty site gives different records one id and
one `created`. The content tells them apart only within one page, which is one answer at one moment.
"""

from collections.abc import Iterable, Sequence

from producer.events import Event, UnreadableRecord, same_record

Row = Event | UnreadableRecord
RowKey = tuple[int, int] | bytes
"""Id and `created` of an event, or the JSON of an unreadable record."""
DistinctRows = dict[RowKey, list[Row]]
"""The different records of one page by key, in the order in which it first shows each key."""


class SeenRows:
    def __init__(self) -> None:
        self._rows: dict[RowKey, list[Row]] = {}

    def __len__(self) -> int:
        """Return the number of different keys."""
        return len(self._rows)

    def __contains__(self, row: Row) -> bool:
        """Return whether a row with this key was shown, whatever its content."""
        return row_key(row) in self._rows

    def add_page(self, page: DistinctRows, *, repeats_last_row: bool, one_row: bool) -> list[Row]:
        """Take a page, and return its rows that no earlier page showed.

        `repeats_last_row`: the page begins with the last row of the one before. `one_row`: pages of one row are requested.
        Such a page cannot show two records side by side, so its content is compared, unless it repeats a row.
        """
        found: list[Row] = []
        first = next(iter(page), None)
        for key, shown in page.items():
            known = self._rows.get(key)
            if known is None:
                self._rows[key] = shown
                found += shown
                continue
            passed = len(known) if one_row else 0
            if repeats_last_row and key == first:
                passed = max(0, len(known) - 1)
            new = _new_rows(shown, known, passed)
            known += new
            found += new
        return found


def distinct_rows(rows: Iterable[Row]) -> DistinctRows:
    """Return by key the different records of one page: usually one."""
    distinct: DistinctRows = {}
    for row in rows:
        key = row_key(row)
        same_key = distinct.get(key)
        if same_key is None:
            distinct[key] = [row]
        elif not any(_is_same(row, one) for one in same_key):
            same_key.append(row)
    return distinct


def row_key(row: Row) -> RowKey:
    return row.raw if isinstance(row, UnreadableRecord) else (row["id"], row["created"])


def _new_rows(shown: Sequence[Row], known: Sequence[Row], passed: int) -> list[Row]:
    """Return the shown rows of one key that are none of the known ones. The first `passed` known ones are before the page.

    Rows keep their order. So a row with changed content is the next of the known ones, as long as there is one.
    """
    new = []
    for row in shown:
        place = next((place for place, one in enumerate(known) if _is_same(row, one)), None)
        if place is not None:
            passed = max(passed, place + 1)
        elif passed < len(known):
            passed += 1
        else:
            new.append(row)
    return new


def _is_same(one: Row, other: Row) -> bool:
    return one == other or (isinstance(one, dict) and isinstance(other, dict) and same_record(one, other))
