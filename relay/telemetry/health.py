"""Conditions that decide whether a process is ready."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from relay.timestamps import now_ms, to_iso_seconds


@dataclass(frozen=True, slots=True)
class HealthCondition:
    """The state of one condition. `since_ms`: when it last changed, in ms since 1970 UTC."""

    ok: bool
    reason: str
    since_ms: int


class Health:
    """Named conditions, which must all hold for the process to be ready. Those named at the start do not hold yet."""

    def __init__(self, *names: str, clock_ms: Callable[[], int] = now_ms) -> None:
        self._clock_ms = clock_ms
        self._conditions = {
            name: HealthCondition(ok=False, reason="still starting", since_ms=clock_ms()) for name in names
        }
        self._counts: dict[str, int] = {}
        self._of_others: dict[str, Sequence[str]] = {}

    def report(self, name: str, ok: bool, reason: str = "") -> None:
        """Report a condition. `reason` says what is wrong and what to do, without a full stop."""
        previous = self._conditions.get(name)
        since_ms = previous.since_ms if previous is not None and previous.ok == ok else self._clock_ms()
        self._conditions[name] = HealthCondition(ok, reason, since_ms)

    def include(self, name: str, problems: Sequence[str]) -> None:
        """Report the problems of another process of this service, in place of those that it had."""
        self._of_others[name] = problems

    def count(self, noun: str, number: int) -> None:
        """Report how many of these the process works for, as `organization` or `destination`."""
        self._counts[noun] = number

    @property
    def counts(self) -> Mapping[str, int]:
        """The reported counts, in the order in which they were first reported."""
        return self._counts

    def problems(self) -> list[str]:
        """Return a sentence for each condition that does not hold, then those of other processes."""
        own = [
            f"{name}: {condition.reason} (since {to_iso_seconds(condition.since_ms)})."
            for name, condition in self._conditions.items()
            if not condition.ok
        ]
        return own + [f"{name}: {problem}" for name, each in self._of_others.items() for problem in each]
