"""Which dead letters are closed: redriven, or followed by a letter of their next refusal."""

from typing import Final, Literal
from zlib import crc32

from pyroaring import BitMap, BitMap64

from relay.dead_letters.letter import FINGERPRINT, DeadLetter

LetterState = Literal["open", "redriven", "failed again", "duplicate"]
"""`duplicate`: another letter of the same refusal was redriven in its place."""

_CLOSED: Final[tuple[LetterState, ...]] = ("redriven", "duplicate", "failed again")
"""In the order in which they count: a job that died between two of them left both."""


class Closings:
    """Remembers the closed letters by partition and offset, in about ten bytes each."""

    def __init__(self, replay: str | None = None) -> None:
        """`replay`: the job whose closings are remembered apart, too."""
        self._replay = replay
        self._closed: dict[tuple[LetterState, int], _ClosedLetters] = {}
        self._by_replay: dict[tuple[LetterState, int], _ClosedLetters] = {}

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
        fingerprint = closing.headers.get(FINGERPRINT)
        self._closed.setdefault(key, _ClosedLetters()).add(offset, fingerprint)
        if self._replay is not None and closing.headers.get("replay") == self._replay:
            self._by_replay.setdefault(key, _ClosedLetters()).add(offset, fingerprint)


class _ClosedLetters:
    """Closed letters of one partition. An offset alone is no proof: in a mirrored log another letter can have it."""

    def __init__(self) -> None:
        self._unproved, self._proved = BitMap64(), BitMap64()
        self._proofs = BitMap()

    def add(self, offset: int, fingerprint: str | None) -> None:
        """Take the address of a closed letter. `fingerprint` None: a release without fingerprints closed it."""
        if fingerprint is None:
            self._unproved.add(offset)
        else:
            self._proved.add(offset)
            self._proofs.add(_proof(offset, fingerprint))

    def __contains__(self, letter: DeadLetter) -> bool:
        if letter.offset in self._unproved:
            return True
        return letter.offset in self._proved and _proof(letter.offset, letter.fingerprint) in self._proofs


def _proof(offset: int, fingerprint: str) -> int:
    return crc32(f"{offset} {fingerprint}".encode())


def _state(closed: dict[tuple[LetterState, int], _ClosedLetters], letter: DeadLetter) -> LetterState:
    found = (each for each in _CLOSED if letter in closed.get((each, letter.partition), ()))
    return next(found, "open")
