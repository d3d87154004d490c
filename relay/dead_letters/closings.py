"""Which dead letters are closed: redriven, or followed by a letter of their next refusal."""

from typing import Literal

from pyroaring import BitMap64

from relay.dead_letters.letter import DeadLetter

LetterState = Literal["open", "redriven", "failed again"]


class Closings:
    """Remembers the closed letters by partition and offset, in about two bytes each."""

    def __init__(self) -> None:
        self._redriven: dict[int, BitMap64] = {}
        self._failed_again: dict[int, BitMap64] = {}

    def add(self, letter: DeadLetter) -> None:
        """Take a record of the topic: a mark closes its letter, and the last part of a successor its forebear."""
        if letter.redriven is not None:
            self._redriven.setdefault(letter.partition, BitMap64()).add(letter.redriven)
        elif letter.forebear is not None and letter.part[0] == letter.part[1]:
            self._failed_again.setdefault(letter.partition, BitMap64()).add(letter.forebear)

    def state(self, letter: DeadLetter) -> LetterState:
        """Return the state of a letter, by the address of its first part.

        A letter that has both was redriven: a job died between the two, and the next one sent the record again.
        """
        if letter.offset in self._redriven.get(letter.partition, ()):
            return "redriven"
        return "failed again" if letter.offset in self._failed_again.get(letter.partition, ()) else "open"
