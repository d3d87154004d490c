"""Whether anybody works on a replay, by what this reader sees: the clock of the machine that works on it may differ."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from relay.replays.job import KnownReplay

SILENT_MS = 60_000
"""An owner shows a sign every 15 s; after so long without one, nobody works on the job."""


@dataclass(frozen=True, slots=True)
class LookTiming:
    """How long a reader looks for a sign of life, and how often, in seconds."""

    seconds: float = 20.0
    interval_seconds: float = 2.0


@dataclass(frozen=True, slots=True)
class _Seen:
    """The last sign of a replay, and since when this reader knows it, in monotonic seconds."""

    sign: tuple[int, int]
    since: float
    arrived: bool
    """Whether it came while this reader looked; otherwise it may be of any age."""


class SignsOfLife:
    """Remembers when the records of replays changed, by the clock of this reader alone."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seen: dict[str, _Seen] = {}

    def note(self, replays: Iterable[KnownReplay]) -> None:
        """Take over all replays as they are now. A wish counts too: what it changes may take a moment."""
        before, now, self._seen = self._seen, self._clock(), {}
        for each in replays:
            sign, last = (each.sign, each.job.wished_at), before.get(each.job.id)
            same = last is not None and last.sign == sign
            self._seen[each.job.id] = last if same and last else _Seen(sign, now, last is not None)

    def silent_ms(self, replay_id: str) -> int | None:
        """Return for how long a replay has shown no sign. None: this reader has not looked for long enough to know."""
        if (seen := self._seen.get(replay_id)) is None:
            return None
        silent = round(1000 * (self._clock() - seen.since))
        return silent if seen.arrived or silent > SILENT_MS else None
