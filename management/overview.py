"""Everything that needs an operator, grouped by cause, the worst first. Pure."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from management.destination_view import DestinationView
from management.formatting import iso_milliseconds, iso_seconds
from management.organizations.causes import shared_reason
from management.organizations.silence import percent, unlikely_text
from management.organizations.view import OrganizationView
from relay.status.model import HourCount
from relay.timestamps import HOUR_MS

BEHIND_MS = HOUR_MS
"""An active organization whose events are complete only up to an earlier time is named."""
_TROUBLE = {"failing", "waiting", "no owner"}
_COMMANDS: Mapping[str, str] = {
    "lost ranges": "`jira-relay destinations lost` shows them, and how to repair that.",
    "dead letters": "`jira-relay dead-letters list` shows them with their reasons.",
    "differing": "`jira-relay proof show NAME` names the events, and `jira-relay proof repair NAME DAY` mends what can be mended.",
    "unproven": "`jira-relay proof show NAME` says why.",
}
"""What shows more of a state, for a reader who has no links."""
_NO_OWNER_REMEDY = "; check that `jira-relay produce` runs and reaches Kafka"


class Severity(IntEnum):
    """How much an operator is needed. Lower is worse."""

    FAILING = 0
    WAITING = 1
    NOTICE = 2


@dataclass(frozen=True, slots=True)
class Affected:
    """An organization or a destination that shares a cause. `since`: ms UTC; None: unknown."""

    name: str
    since: int | None
    detail: str = ""
    """What is known of this member alone, such as a number."""
    own_reason: str = ""
    """The reason in this member's own words; empty: it is that of the cause."""


@dataclass(frozen=True, slots=True)
class Cause:
    """One cause and all that it affects. `reason` names the remedy; of several members, it has placeholders for what differs."""

    severity: Severity
    subject: str
    """`organization` or `destination`."""
    state: str
    reason: str
    members: tuple[Affected, ...]

    @property
    def since(self) -> int | None:
        """The instant at which the first member was affected; None: unknown."""
        return min((each.since for each in self.members if each.since is not None), default=None)

    @property
    def reason_with_command(self) -> str:
        """Return the reason, and the command that shows more: pages link to it instead."""
        return " ".join(filter(None, (self.reason, _COMMANDS.get(self.state))))

    def document(self) -> dict[str, Any]:
        """Return the JSON document: instants in ISO 8601."""
        return {
            "severity": self.severity.name.lower(),
            "subject": self.subject,
            "state": self.state,
            "reason": self.reason_with_command,
            "since": iso_milliseconds(self.since),
            "members": [
                {"name": each.name, "since": iso_milliseconds(each.since), "detail": each.detail or None}
                for each in self.members
            ],
        }


Finding = tuple[Severity, str, str, str, Affected]
"""Severity, subject, state, reason, and what is affected."""


def find_causes(
    organizations: Sequence[OrganizationView],
    destinations: Sequence[DestinationView],
    others: Iterable[Finding] = (),
) -> list[Cause]:
    """Return the causes, the worst first, then those with the most members. `others`: findings from elsewhere."""
    members: dict[tuple[Severity, str, str, str], list[Affected]] = defaultdict(list)
    for severity, subject, state, reason, member in (
        *_organization_findings(organizations),
        *_destination_findings(destinations),
        *others,
    ):
        members[severity, subject, state, reason].append(member)
    causes = [_cause(*key, found) for key, found in members.items()]
    return sorted(causes, key=lambda cause: (cause.severity, -len(cause.members), cause.state, cause.reason))


def _cause(severity: Severity, subject: str, state: str, reason: str, members: list[Affected]) -> Cause:
    """Return the cause. A placeholder such as HOST would be a riddle where only one host is affected."""
    own = members[0].own_reason if len(members) == 1 else ""
    return Cause(severity, subject, state, own or reason, tuple(sorted(members, key=lambda each: each.name)))


def _organization_findings(views: Iterable[OrganizationView]) -> Iterator[Finding]:
    for view in views:
        name, now = view.organization.name, view.now_ms
        word = view.state_word
        if word in _TROUBLE and not view.is_new:
            severity = Severity.WAITING if word == "waiting" else Severity.FAILING
            own = f"{view.reason}{_NO_OWNER_REMEDY}" if word == "no owner" else view.reason
            reason = shared_reason(own, name, view.organization.url, view.organization.user)
            yield severity, "organization", word, reason, Affected(name, view.since, own_reason=own)
        elif word != "paused":
            yield from _quiet_findings(view)
        if view.expires_within_days is not None and word != "paused":
            expired = view.expires_within_days == 0
            state = "key expired" if expired else "key expires soon"
            reason = (
                f"The API key {'has expired' if expired else 'expires within 30 days'}. Make a new one at"
                " https://id.atlassian.com/manage-profile/security/api-tokens, and set it here with its new day of expiry."
            )
            severity = Severity.FAILING if expired else Severity.NOTICE
            yield (
                severity,
                "organization",
                state,
                reason,
                Affected(name, view.organization.credential_expires),
            )
        if dead_letters := day_total(view.counts, now).dead_letters:
            yield _dead_letter_finding("organization", name, dead_letters)


def _quiet_findings(view: OrganizationView) -> Iterator[Finding]:
    status, name = view.status, view.organization.name
    if status is None:
        return
    if status.complete_up_to is not None and view.now_ms - status.complete_up_to > BEHIND_MS:
        reason = "It is polled, but its events are complete only up to more than an hour ago. Its page has the reason."
        yield Severity.WAITING, "organization", "behind", reason, Affected(name, status.complete_up_to)
    silence = status.silence
    if silence is not None and view.silence_word == "silent":
        reason = (
            "No event for unusually long. It is asked, and answers; if people work there, compare with its audit log in Jira."
            " If the site is not used any more, pause the organization."
        )
        own = f"{reason} No event since {iso_seconds(silence.since)}, {unlikely_text(silence)}."
        detail = "" if silence.probability is None else percent(silence.probability)
        yield Severity.NOTICE, "organization", "silent", reason, Affected(name, silence.since, detail, own)


def _destination_findings(views: Iterable[DestinationView]) -> Iterator[Finding]:
    for view in views:
        member = Affected(view.name, view.since)
        if view.lost_ranges:
            reason = "Kafka deleted events that it had not accepted."
            lost = Affected(view.name, None, f"{view.lost_ranges:,}")
            yield Severity.FAILING, "destination", "lost ranges", reason, lost
        match view.state:
            case "active":
                if view.reason and not view.lost_ranges:
                    yield Severity.NOTICE, "destination", "notice", view.reason, member
            case "starting":
                yield Severity.NOTICE, "destination", "starting", view.reason, member
            case "paused" if view.pause is not None:
                yield Severity.NOTICE, "destination", "paused", view.reason, member
            case "waiting":
                yield Severity.WAITING, "destination", "waiting", view.reason, member
            case state:
                yield Severity.FAILING, "destination", state, view.reason, member
        if dead_letters := view.day.dead_letters:
            yield _dead_letter_finding("destination", view.name, dead_letters)


def _dead_letter_finding(subject: str, name: str, count: int) -> Finding:
    reason = "Dead letters in the last 24 hours."
    return Severity.NOTICE, subject, "dead letters", reason, Affected(name, None, f"{count:,}")


def last_day(counts: Iterable[HourCount], now_ms: int) -> list[HourCount]:
    """Return the counts of the last 24 hours, one for each hour, oldest first; an hour without a record has zeros."""
    by_hour = {each.hour: each for each in counts}
    newest = now_ms - now_ms % HOUR_MS
    hours = range(newest - 23 * HOUR_MS, newest + 1, HOUR_MS)
    return [by_hour.get(hour, HourCount(hour, 0, 0, 0)) for hour in hours]


def day_total(counts: Sequence[HourCount], now_ms: int) -> HourCount:
    """Return the sum of what `last_day` returns, as the count of its first hour. Makes no list: pages call it for each organization."""
    newest = now_ms - now_ms % HOUR_MS
    first = newest - 23 * HOUR_MS
    events = late = dead_letters = skipped = 0
    for each in counts:
        if first <= each.hour <= newest:
            events += each.events
            late += each.late
            dead_letters += each.dead_letters
            skipped += each.skipped
    return HourCount(first, events, late, dead_letters, skipped)
