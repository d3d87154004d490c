"""Letters of one refusal that are on the topic more than once.

A write that Kafka did not confirm is repeated, and a consumer that dies before it commits delivers the event again. Both letters
are whole; a redrive must deliver one of them. Their bytes are equal: in a topic that was created anew, another record has the
same place.
"""

from collections.abc import Hashable
from dataclasses import dataclass, field
from hashlib import sha256

from pyroaring import BitMap64

from relay.dead_letters.assembly import WholeLetter
from relay.dead_letters.letter import DeadLetter, Duplicate

_Refusal = tuple[Hashable, int]
"""What the letters of one refusal have in common; the number is an offset, and takes few bytes in a bitmap."""


class RepeatFinder:
    """Finds the refusals that have several letters, in a few bytes for each letter."""

    def __init__(self) -> None:
        self._seen: dict[Hashable, BitMap64] = {}
        self._whole: dict[Hashable, BitMap64] = {}
        """The refusals of which the last part of a letter is on the topic."""
        self._repeated: set[_Refusal] = set()

    @property
    def found(self) -> bool:
        return bool(self._repeated)

    def add(self, letter: DeadLetter) -> None:
        """Take a record of the topic."""
        refusal = _refusal(letter)
        if refusal is None or letter.is_mark:
            return
        if letter.part[0] == letter.part[1]:
            self._whole.setdefault(refusal[0], BitMap64()).add(refusal[1])
        if letter.part[0] > 1:
            return
        seen = self._seen.setdefault(refusal[0], BitMap64())
        if refusal[1] in seen:
            self._repeated.add(refusal)
        seen.add(refusal[1])

    def was_written_anew(self, whole: WholeLetter) -> bool:
        """Return whether the letter is what is left of a write that was given up, and repeated to its end."""
        refusal = _refusal(whole.letter)
        return whole.is_cut_short and refusal is not None and refusal[1] in self._whole.get(refusal[0], ())

    def is_repeated(self, letter: DeadLetter) -> bool:
        return _refusal(letter) in self._repeated


@dataclass(slots=True)
class Duplicates:
    """The letters to deliver in the place of others, by partition and offset, and those others."""

    of: dict[tuple[int, int], list[Duplicate]] = field(default_factory=dict)
    """The duplicates of each delivered letter."""
    _offsets: dict[int, BitMap64] = field(default_factory=dict)
    _members: dict[Hashable, list[Duplicate]] = field(default_factory=dict)
    """By refusal and content: the duplicates of the letter to deliver, and those in front of it while none is wanted."""
    _has_first: set[Hashable] = field(default_factory=set)

    def add(self, whole: WholeLetter, *, wanted: bool) -> None:
        """Take a whole letter of a repeated refusal, in the order of the topic. The first wanted one is to be delivered.

        `wanted`: the redrive selects this letter. Others of its refusal are closed with it, whatever their reason and time.
        """
        letter, refusal = whole.letter, _refusal(whole.letter)
        if refusal is None:
            return
        same = (refusal, whole.key, sha256(whole.stored).digest())
        members = self._members.setdefault(same, [])
        if wanted and same not in self._has_first:
            self._has_first.add(same)
            self.of[letter.partition, letter.offset] = members
            return
        members.append(Duplicate(letter.offset, letter.fingerprint))
        self._offsets.setdefault(letter.partition, BitMap64()).add(letter.offset)

    def contains(self, letter: DeadLetter) -> bool:
        """Return whether another letter is delivered in the place of this one."""
        return letter.offset in self._offsets.get(letter.partition, ())


def _refusal(letter: DeadLetter) -> _Refusal | None:
    """Return the refusal of a letter. None: it is a producer's, which writes each once."""
    if letter.forebear is not None:
        return (letter.partition, "successor"), letter.forebear
    if letter.original is None:
        return None
    topic, partition, offset = letter.original
    flow, replay = letter.headers.get("flow"), letter.headers.get("replay")
    return (letter.partition, letter.destination, topic, partition, flow, replay), offset
