"""Counts of dead letters by destination and reason, in bounded memory."""

import re
from collections import Counter
from dataclasses import dataclass, field

from relay.dead_letters.closings import LetterState
from relay.dead_letters.letter import DeadLetter

MAX_GROUPS = 1_000
OTHER_REASONS = "other reasons"

_VARYING = re.compile(r"""["'`][^"'`]{0,200}["'`]|\b[0-9a-f-]{8,}\b|\d[\d.,:]*""")


@dataclass(slots=True)
class ReasonGroup:
    """The letters of one reason, as one destination or a producer wrote them. Times are ms UTC."""

    written_by: str
    reason: str
    """That of its newest letter: numbers and quoted values differ between the others."""
    states: Counter[LetterState] = field(default_factory=Counter)
    first_at: int = 0
    last_at: int = 0

    @property
    def count(self) -> int:
        return self.states.total()

    def add(self, letter: DeadLetter, state: LetterState) -> None:
        self.first_at = min(self.first_at or letter.at, letter.at)
        if letter.at >= self.last_at and self.reason != OTHER_REASONS:
            self.reason = letter.reason
        self.last_at = max(self.last_at, letter.at)
        self.states[state] += 1


class LetterSummary:
    """Groups letters by writer and reason; behind MAX_GROUPS, the other reasons of a writer are one group."""

    def __init__(self) -> None:
        self._groups: dict[tuple[str, str], ReasonGroup] = {}

    def add(self, letter: DeadLetter, state: LetterState) -> None:
        key = (letter.written_by, reason_pattern(letter.reason))
        if key not in self._groups and len(self._groups) >= MAX_GROUPS:
            key = (letter.written_by, OTHER_REASONS)
        if key not in self._groups:
            reason = OTHER_REASONS if key[1] == OTHER_REASONS else letter.reason
            self._groups[key] = ReasonGroup(letter.written_by, reason)
        self._groups[key].add(letter, state)

    def groups(self) -> list[ReasonGroup]:
        """Return the groups, the largest first."""
        return sorted(self._groups.values(), key=lambda each: (-each.count, each.written_by, each.reason))

    def group_of(self, letter: DeadLetter) -> ReasonGroup | None:
        """Return the group of a letter; None: no letter of it was added."""
        return self._groups.get((letter.written_by, reason_pattern(letter.reason)))

    def states(self) -> Counter[LetterState]:
        """Return the number of letters in each state."""
        return sum((each.states for each in self._groups.values()), Counter())


def reason_pattern(reason: str) -> str:
    """Return the reason without numbers and quoted values, which differ between letters of one cause."""
    return _VARYING.sub("…", reason)


def shared_part(reason: str) -> str:
    """Return the longest part that all reasons of a group share: a selection by it has all of its letters, and maybe others."""
    return max(reason_pattern(reason).split("…"), key=len).strip()
