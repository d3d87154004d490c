"""The newest dead letters, and the number of all by destination and reason."""

import heapq
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from management.corrupt_letters import CorruptLetters
from management.dead_letter_summary import LetterSummary, ReasonGroup
from management.organizations.store import kafka_errors_as_relay_errors
from relay.dead_letters.closings import LetterState
from relay.dead_letters.letter import DeadLetter
from relay.dead_letters.log import open_letter_log
from relay.dead_letters.selection import LetterSelection
from relay.kafka.connection import Connection


@dataclass(frozen=True, slots=True)
class ListedLetter:
    letter: DeadLetter
    state: LetterState


@dataclass(frozen=True, slots=True)
class LetterListing:
    """The newest letters of a selection, newest first, and the groups of all of it, the largest first."""

    newest: Sequence[ListedLetter]
    groups: Sequence[ReasonGroup]
    states: Counter[LetterState]
    unreadable: Sequence[str] = ()
    """A sentence for each batch of the topic that cannot be read."""

    @property
    def count(self) -> int:
        return self.states.total()


async def list_letters(connection: Connection, selection: LetterSelection, limit: int) -> LetterListing:
    """Read the whole topic in bounded memory; of one organization, its partition alone. Raises RelayError."""
    corrupt = CorruptLetters()
    summary, newest = LetterSummary(), list[tuple[int, int, int, ListedLetter]]()
    with kafka_errors_as_relay_errors(connection):
        async with open_letter_log(connection, selection.only_organization, corrupt.add) as log:
            async for whole, state in log.letters():
                letter = whole.letter
                if selection.keeps(letter, state):
                    summary.add(letter, state)
                    entry = (letter.at, letter.offset, letter.partition, ListedLetter(letter, state))
                    (heapq.heappush if len(newest) < limit else heapq.heappushpop)(newest, entry)
    ordered = [each for *_, each in sorted(newest, key=lambda entry: entry[:3], reverse=True)]
    return LetterListing(ordered, summary.groups(), summary.states(), corrupt.texts)
