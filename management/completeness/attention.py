"""What the counted days of an organization say to an operator: one state and one sentence. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from management.completeness.due_days import LastCount
from management.completeness.proof import DayAccount
from management.completeness.seal_index import OrganizationSeals
from management.completeness.sealing import SealResult
from relay.timestamps import DAY_MS, day_of

ATTENTION_DAYS = 30
"""The last days that the state of an organization is made of: an older difference stays in the calendar alone."""
MAX_NAMED_DAYS = 3
MAX_TEXT = 600
_SETTLED = {"complete", "not collected"}


@dataclass(frozen=True, slots=True)
class Attention:
    """The state of the last days: complete, differing or unproven. `reason`: which days, and what differs; empty: nothing."""

    state: str
    reason: str = ""


@dataclass(slots=True)
class DayCounts:
    """The last counts of one organization: when each day was counted, and the sentence of each that is not settled."""

    last: dict[str, LastCount] = field(default_factory=dict)
    findings: dict[str, str] = field(default_factory=dict)

    def add(self, accounts: Mapping[str, DayAccount], now_ms: int) -> None:
        """Take the accounts of a round. Days that are too old are forgotten."""
        for day, account in accounts.items():
            settled = account.state in _SETTLED
            self.last[day] = LastCount(now_ms, len(account.kafka.ledger or ()), settled)
            self.findings.pop(day, None)
            if not settled:
                self.findings[day] = " ".join(account.findings())
        oldest = first_day(now_ms)
        for kept in (self.last, self.findings):
            for day in [each for each in kept if each < oldest]:
                del kept[day]


def first_day(now_ms: int) -> str:
    """Return the oldest day that the state of an organization is made of."""
    return day_of(now_ms - ATTENTION_DAYS * DAY_MS)


def attention_of(found: OrganizationSeals, counts: DayCounts, result: SealResult, now_ms: int) -> Attention:
    """Return the state of an organization after a round."""
    if result.failure is not None:
        return Attention("unproven", result.failure[:MAX_TEXT])
    first = first_day(now_ms)
    marks = {
        day: mark.state
        for each in (found.sealed, found.accounts)
        for day, mark in each.items()
        if day >= first
    }
    for state in ("differing", "unproven"):
        if days := sorted((day for day, word in marks.items() if word == state), reverse=True):
            return Attention(state, _text(days, counts.findings)[:MAX_TEXT])
    return Attention("complete")


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
