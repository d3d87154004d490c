"""What the counted days of an organization say to an operator: one state and one sentence. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from consumer.losses.lost_range import SOURCE_DAYS
from management.completeness.due_days import LastCount, first_day
from management.completeness.proof import DayState
from management.completeness.seal_index import OrganizationSeals
from management.completeness.sealing import CountedState, SealResult
from relay.timestamps import DAY_MS, day_of

NEVER_POLLED = (
    "No progress of a producer can be read, so no day is counted; the status of the organization says why."
)
MAX_NAMED_DAYS = 3
MAX_TEXT = 600
_WORST_FIRST: Sequence[DayState] = ("differing", "unproven")
_SETTLED = {"complete", "not collected"}


@dataclass(frozen=True, slots=True)
class Attention:
    """The state of the last days: complete, differing or unproven. `reason`: which days, and what differs; empty: nothing."""

    state: str
    reason: str = ""


@dataclass(slots=True)
class DayCounts:
    """The last counts of one organization: when each day was counted, and the sentence of each that is not settled.

    `passed`: the last pass in which its days were gone through. `overdue_ms`: for how long a day could have had its seal.
    """

    last: dict[str, LastCount] = field(default_factory=dict)
    findings: dict[str, str] = field(default_factory=dict)
    passed: int | None = None
    overdue_ms: int = 0

    def add(self, counted: Mapping[str, CountedState], now_ms: int) -> None:
        """Take the days of a round. Days that are too old are forgotten."""
        for day, found in counted.items():
            settled, before = found.state in _SETTLED, self.last.get(day)
            since = before.since if before is not None and before.settled is settled else now_ms
            self.last[day] = LastCount(now_ms, found.ids, settled, since)
            self.findings.pop(day, None)
            if not settled:
                self.findings[day] = found.findings[:MAX_TEXT]
        for kept, oldest in (
            (self.findings, first_day(now_ms)),
            (self.last, day_of(now_ms - SOURCE_DAYS * DAY_MS)),
        ):
            for day in [each for each in kept if each < oldest]:
                del kept[day]


def attention_of(
    found: OrganizationSeals, counts: DayCounts, result: SealResult, now_ms: int, *, is_polled: bool = True
) -> Attention:
    """Return the state of an organization after a round. `is_polled`: a producer has recorded how far it is."""
    if result.failure is not None:
        return Attention("unproven", result.failure[:MAX_TEXT])
    first = first_day(now_ms)
    for state in _WORST_FIRST:
        if days := sorted(found.days_in(state, first), reverse=True):
            return Attention(state, _text(days, counts.findings)[:MAX_TEXT])
    return Attention("complete") if is_polled else Attention("unproven", NEVER_POLLED)


def _text(days: Sequence[str], findings: Mapping[str, str]) -> str:
    named = [f"{day}: {findings.get(day, 'see the page of the day.')}" for day in days[:MAX_NAMED_DAYS]]
    more = [f"And {len(days) - MAX_NAMED_DAYS} more days."] if len(days) > MAX_NAMED_DAYS else []
    return " ".join((*named, *more))


def worst_first(found: Mapping[str, Attention]) -> Iterable[str]:
    """Return the organizations that are not complete, those that differ first."""
    return sorted(
        (name for name, each in found.items() if each.state != "complete"),
        key=lambda name: (found[name].state, name),
    )
