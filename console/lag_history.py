"""The lag of each destination over the last day. No topic keeps it, so each console does, in memory, from its own start on."""

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from management.destination_view import DestinationView
from relay.timestamps import DAY_MS

SLOT_MS = 900_000
SLOTS = DAY_MS // SLOT_MS
RATE_MS = 600_000
MAX_DESTINATIONS = 1_000


@dataclass(frozen=True, slots=True)
class LagSample:
    """What was reported at `at` (ms UTC). `lag` and `seconds` None: it was not known. `handled`: events of the hours that are kept."""

    at: int
    lag: int | None
    seconds: float | None
    handled: int


@dataclass(frozen=True, slots=True)
class LagSlot:
    """A quarter of an hour from `start` (ms UTC). `lag`, in events, and `seconds`: the most that was reported in it; None: nothing was."""

    start: int
    lag: int | None
    seconds: float | None


class LagHistory:
    """Samples of the last day, by destination. Pure."""

    def __init__(self) -> None:
        self._samples: dict[str, deque[LagSample]] = {}

    def add(self, views: Iterable[DestinationView], now_ms: int) -> None:
        """Take the present state of all destinations; those that are not among them any more are forgotten."""
        before, self._samples = self._samples, {}
        for view in list(views)[:MAX_DESTINATIONS]:
            counts = () if view.status is None else view.status.counts
            handled = sum(each.events + each.skipped + each.dead_letters for each in counts)
            samples = self._samples[view.name] = before.get(view.name, deque())
            if samples and samples[-1].at > now_ms:
                samples.clear()  # the clock was set back
            samples.append(LagSample(now_ms, view.lag, view.lag_seconds, handled))
            while samples[0].at <= now_ms - DAY_MS:
                samples.popleft()

    def since(self, name: str) -> int | None:
        """Return when the first kept sample was taken, in ms UTC; None: there is none yet."""
        samples = self._samples.get(name)
        return samples[0].at if samples else None

    def slots(self, name: str, now_ms: int) -> list[LagSlot]:
        """Return the last day in quarters of an hour, the oldest first."""
        newest = now_ms - now_ms % SLOT_MS
        events: dict[int, int] = {}
        seconds: dict[int, float] = {}
        for sample in self._samples.get(name, ()):
            start = sample.at - sample.at % SLOT_MS
            if sample.lag is not None:
                events[start] = max(sample.lag, events.get(start, 0))
            if sample.seconds is not None:
                seconds[start] = max(sample.seconds, seconds.get(start, 0.0))
        starts = range(newest - (SLOTS - 1) * SLOT_MS, newest + 1, SLOT_MS)
        return [LagSlot(start, events.get(start), seconds.get(start)) for start in starts]

    def events_per_second(self, name: str, now_ms: int) -> float | None:
        """Return how many events were delivered or left out a second, over ten minutes at most; None: that is not known yet."""
        samples = [each for each in self._samples.get(name, ()) if each.at > now_ms - RATE_MS]
        return _rate(samples)


def _rate(samples: Sequence[LagSample]) -> float | None:
    if len(samples) < 2 or samples[-1].at == samples[0].at:
        return None
    handled = samples[-1].handled - samples[0].handled
    if handled < 0:
        return None  # an hour has left the counts, or a new owner counts anew
    return handled * 1000 / (samples[-1].at - samples[0].at)
