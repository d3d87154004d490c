"""Which jobs of a destination may begin, and which leave their place to another. Pure."""

import random
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from consumer.timing import ReplayTiming
from relay.replays.job import KnownReplay, in_turn


@dataclass(frozen=True, slots=True)
class EndedAttempt:
    """The last attempt of a job that did not come to its end. Times are monotonic seconds."""

    reason: str
    number: int
    """How many attempts in a row failed before it."""
    ended_at: float
    not_before: float
    """When the job may begin again."""


class Turns:
    """The order in which jobs get a place among the running ones.

    A job that failed or only waited goes behind the others, so that none waits for ever behind jobs that cannot move.
    """

    def __init__(self, timing: ReplayTiming, jitter: Callable[[], float] = random.random) -> None:
        self._timing = timing
        self._jitter = jitter
        self._attempts: dict[str, EndedAttempt] = {}
        self._waits: dict[str, tuple[int, float]] = {}
        """Since when a running job only waits, and how many of its records had ended then."""

    def order(self, replays: Sequence[KnownReplay]) -> Sequence[KnownReplay]:
        """Return the jobs that have not ended: those without a failed attempt first, the oldest before the newer ones."""
        return sorted(in_turn(replays), key=self._rank)

    def last(self, replay_id: str) -> EndedAttempt | None:
        """Return the last attempt of a job; None: it has had none, or was not hindered."""
        return self._attempts.get(replay_id)

    def failed(self, replay_id: str, reason: str, began: float, now: float) -> None:
        """Note an attempt that failed. One that lasted long begins the waits anew."""
        before = self._attempts.get(replay_id)
        lasted = now - began > self._timing.heartbeat_seconds
        number = 0 if before is None or lasted else before.number + 1
        wait = self._timing.source.wait(number, self._jitter())
        self._attempts[replay_id] = EndedAttempt(reason, number, now, now + wait)

    def gave_way(self, replay_id: str, reason: str, now: float) -> None:
        """Note that a job left its place to another; it may begin again when one is free."""
        self._attempts[replay_id] = EndedAttempt(reason, 0, now, now)

    def forget(self, replay_id: str) -> None:
        """Let a job begin as if it had had no attempt."""
        self._attempts.pop(replay_id, None)

    def keep(self, replay_ids: Collection[str]) -> None:
        """Forget all other jobs."""
        self._attempts = {each: self._attempts[each] for each in replay_ids if each in self._attempts}

    def note_wait(self, replay_id: str, ended_count: int, reason: str | None, now: float) -> bool:
        """Note why a running job waits (None: it does not). Return whether it may leave its place to another.

        `ended_count`: how many of its records have ended. While that does not change, a short sign of life is no movement.
        """
        count, since = self._waits.get(replay_id, (-1, now))
        if count != ended_count:
            self._waits.pop(replay_id, None)
            since = now
        if reason is not None:
            self._waits[replay_id] = ended_count, since
        return reason is not None and now - since >= self._timing.place_seconds

    def stopped(self, replay_id: str) -> None:
        """Note that a job does not run any more."""
        self._waits.pop(replay_id, None)

    def _rank(self, known: KnownReplay) -> float:
        attempt = self._attempts.get(known.job.id)
        return -1.0 if attempt is None else attempt.ended_at
