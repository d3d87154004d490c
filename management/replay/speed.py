"""The speed of a replay that is followed. Pure."""

from collections import deque

from management.replay.view import ReplayView

_WINDOW_MS = 20_000


class Speed:
    """Events a second over the last 20 s, and the time left at the speed of the same time."""

    def __init__(self) -> None:
        self._samples: deque[tuple[int, int, int]] = deque()
        """Time of the progress (ms UTC), records read, offsets done."""

    def add(self, view: ReplayView) -> None:
        """Take what its owner reported last; the same report counts once."""
        progress = view.progress
        if progress is None or (self._samples and progress.at == self._samples[-1][0]):
            return
        if self._samples and progress.at < self._samples[-1][0]:
            self._samples.clear()  # another clock, or one that was set back
        self._samples.append((progress.at, progress.read, view.done))
        while len(self._samples) > 2 and progress.at - self._samples[1][0] >= _WINDOW_MS:
            self._samples.popleft()

    @property
    def events_per_second(self) -> float | None:
        """None: that is not known yet."""
        return self._rate(1)

    def seconds_left(self, view: ReplayView) -> float | None:
        """Return how long the rest takes. None: it does not run, or makes no progress."""
        rate = self._rate(2)
        if view.state != "running" or not rate:
            return None
        return view.replay.offsets_left() / rate

    def _rate(self, field: int) -> float | None:
        if len(self._samples) < 2:
            return None
        first, last = self._samples[0], self._samples[-1]
        return (last[field] - first[field]) / ((last[0] - first[0]) / 1000)
