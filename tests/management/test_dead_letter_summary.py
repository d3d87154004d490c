"""Counts of dead letters by destination and reason."""

from management.dead_letter_summary import MAX_GROUPS, OTHER_REASONS, LetterSummary
from relay.dead_letters.letter import parse_letter
from tests.support.dead_letters import AT, letter_record


def letter(number, reason, destination="sentinel"):
    return parse_letter(letter_record(number, at=AT + number, reason=reason, destination=destination))


def test_reasons_that_differ_in_values_are_one():
    """Numbers, quoted values and hashes differ between letters of one cause; the group shows the newest reason."""
    summary = LetterSummary()
    for number, state in enumerate(("open", "open", "redriven")):
        summary.add(letter(number, f"row {number} of column 'c{number}' has 0a1b2c3d{number}"), state)
    summary.add(letter(3, "another reason"), "open")
    summary.add(letter(4, "another reason", "splunk"), "failed again")
    first, *others = summary.groups()

    assert (first.count, first.states["open"], first.first_at, first.last_at) == (3, 2, AT, AT + 2)
    assert first.reason == "row 2 of column 'c2' has 0a1b2c3d2"
    assert [(each.written_by, each.count) for each in others] == [("sentinel", 1), ("splunk", 1)]
    assert summary.states() == {"open": 3, "redriven": 1, "failed again": 1}
    assert summary.group_of(letter(9, "row 77 of column 'x' has ffffffff")) is first


def test_groups_are_bounded():
    """Behind the first thousand reasons, the others of a destination are counted together, and none is lost."""
    summary = LetterSummary()
    for number in range(MAX_GROUPS + 50):
        name = "".join(chr(ord("g") + int(digit)) for digit in str(number))
        summary.add(letter(number, f"reason {name}"), "open")
    groups = summary.groups()

    assert len(groups) == MAX_GROUPS + 1
    assert (groups[0].reason, groups[0].count) == (OTHER_REASONS, 50)
    assert summary.states()["open"] == MAX_GROUPS + 50
