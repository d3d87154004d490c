"""Which dead letters are closed: redriven, or followed by a letter of their next refusal."""

from typing import Final, Literal

from pyroaring import BitMap64

from relay.dead_letters.letter import DeadLetter

LetterState = Literal["open", "redriven", "failed again", "duplicate"]
"""`duplicate`: another letter of the same refusal was redriven in its place."""

_CLOSED: Final[tuple[LetterState, ...]] = ("redriven", "duplicate", "failed again")
"""In the order in which they count: a job that died between two of them left both."""


class Closings:
    """Remembers the closed letters by partition and offset, in about two bytes each."""

    def __init__(self, replay: str | None = None) -> None:
        """`replay`: the job whose closings are remembered apart, too."""
        self._replay = replay
        self._closed: dict[tuple[LetterState, int], BitMap64] = {}
        self._by_replay: dict[tuple[LetterState, int], BitMap64] = {}

    def add(self, letter: DeadLetter) -> None:
        """Take a record of the topic: a mark closes its letter, and the last part of a successor its forebear."""
        if letter.redriven is not None:
            self._close("duplicate" if letter.is_duplicate_mark else "redriven", letter, letter.redriven)
        elif letter.forebear is not None and letter.part[0] == letter.part[1]:
            self._close("failed again", letter, letter.forebear)

    def state(self, letter: DeadLetter) -> LetterState:
        """Return the state of a letter, by the address of its first part."""
        return _state(self._closed, letter)

    def state_by_replay(self, letter: DeadLetter) -> LetterState:
        """Return the state that the job has given the letter; open: none."""
        return _state(self._by_replay, letter)

    def _close(self, state: LetterState, closing: DeadLetter, offset: int) -> None:
        key = (state, closing.partition)
        self._closed.setdefault(key, BitMap64()).add(offset)
        if self._replay is not None and closing.headers.get("replay") == self._replay:
            self._by_replay.setdefault(key, BitMap64()).add(offset)


def _state(closed: dict[tuple[LetterState, int], BitMap64], letter: DeadLetter) -> LetterState:
    found = (each for each in _CLOSED if letter.offset in closed.get((each, letter.partition), ()))
    return next(found, "open")
