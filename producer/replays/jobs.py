"""The refills that are to be read now, by organization, and the report of each."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace

import structlog

from relay.aio import Signal
from relay.avro.codec import BadBody, NotAvro, UnknownSchema
from relay.condition_log import ConditionLog
from relay.errors import RelayError
from relay.replays.job import Content, KnownReplay, ReplayJob, in_turn
from relay.replays.refill import RefillProgress
from relay.replays.store import ReplayTable
from relay.timestamps import now_ms

REPORT_EVERY_MS = 2_000
"""The least time between two reports that differ in their counts alone."""
REPEAT_EVERY_MS = 60_000
"""How often a report that says the same is written again, as a sign of life."""
_CHECK_SECONDS = 5.0
_UNREADABLE = (NotAvro, BadBody, UnknownSchema)

log = structlog.get_logger(__name__)

SendReport = Callable[[RefillProgress], Awaitable[None]]
"""Writes a report to the topic of replays. Raises RelayError."""


async def send_nothing(_report: RefillProgress) -> None:
    """Write no report, as in tests without a topic."""


class RefillJobs:
    """Follows the replays for all shards of the process; `take_over` gets what the feed has read.

    An organization has one refill at a time, the oldest; the others wait for it.
    """

    def __init__(
        self,
        send: SendReport = send_nothing,
        clock_ms: Callable[[], int] = now_ms,
        content: Content = "refill",
    ) -> None:
        """`content`: of the replays to follow."""
        self._content = content
        self._send = send
        self._clock_ms = clock_ms
        self._replays: Mapping[str, KnownReplay] = {}
        self._changed = Signal()
        self._reports: dict[tuple[str, str], RefillProgress] = {}
        self._known = False
        self._hidden: frozenset[str] = frozenset()
        """Replays of which a record cannot be read, as after a newer release; they may go on."""
        self._conditions = ConditionLog(log)

    def take_over(self, table: ReplayTable) -> None:
        """Follow the topic, which was read to its end."""
        replays = {
            name: each
            for name, each in table.jobs.items()
            if each.job.content == self._content and not each.ended
        }
        changed = not self._known or _facts(replays) != _facts(self._replays)
        self._replays, self._known = replays, True
        self._hidden = frozenset(key.partition(".")[0] for key in table.unreadable)
        self._reports = {key: each for key, each in self._reports.items() if key[0] in replays}
        if changed:
            self._changed.notify()

    def current(self, organization: str) -> ReplayJob | None:
        """Return the refill whose window of the organization is to be read now. None: there is none."""
        return next(iter(self.wanted(organization)), None)

    def wanted(self, organization: str) -> Sequence[ReplayJob]:
        """Return the refills whose windows of the organization are still to be read, in the order in which they are."""
        return [
            each.job
            for each in in_turn(list(self._replays.values()))
            if organization in each.job.organizations
            and each.job.unknown_word is None
            and each.job.wished == "running"
            and not _has_ended(each, organization)
        ]

    async def wait_for(self, organization: str) -> ReplayJob:
        """Return the refill to be read now, once there is one."""
        while (job := self.current(organization)) is None:
            await self._changed.wait()
        return job

    def is_over(self, replay_id: str) -> bool:
        """Return whether a replay has ended, or was deleted, so that its cursor may be forgotten."""
        return self._known and replay_id not in self._replays and replay_id not in self._hidden

    async def report(self, progress: RefillProgress) -> None:
        """Report how far the window of an organization is read, if that is news; a report that fails is for the next time."""
        key = progress.id, progress.organization
        before = self._reports.get(key)
        if before is not None and (before.state, before.reason) == (progress.state, progress.reason):
            progress = replace(progress, since=before.since)
            same = not progress.ended and replace(progress, at=before.at) == before
            if progress.at - before.at < (REPEAT_EVERY_MS if same else REPORT_EVERY_MS):
                return
            if progress.ended and not self._is_written_over(*key):
                return
        try:
            await self._send(progress)
        except RelayError as error:
            fields = {"replay": progress.id, "reason": str(error)}
            self._conditions.failed(
                "report", type(error).__name__, "Report of a refill was not written.", fields
            )
        else:
            self._conditions.ended("report", "Reports of refills are written; they were not", {})
            self._reports[key] = progress

    def _is_written_over(self, replay_id: str, organization: str) -> bool:
        """Return whether the topic has another report in place of the end: a former owner's write may have come later."""
        known = self._replays.get(replay_id)
        return known is not None and organization in known.producers and not _has_ended(known, organization)

    async def report_paused(self, organization: str) -> None:
        """Tell each refill that needs the organization that an operator has paused it, until cancelled.

        What was read of its window before the pause stays in the report.
        """
        while True:
            await self.wait_for(organization)
            reason = f"{organization} is paused. Run `jira-relay organizations resume {organization}`, or cancel the replay."
            for job in self.wanted(organization):
                now = self._clock_ms()
                known = self._known_report(job.id, organization)
                begun = known or RefillProgress(job.id, organization, "running", now, now)
                await self.report(replace(begun, state="running", reason=reason, since=now, at=now))
            await asyncio.sleep(_CHECK_SECONDS)

    def _known_report(self, replay_id: str, organization: str) -> RefillProgress | None:
        """Return the last report that the topic has, if it can be read."""
        known = self._replays.get(replay_id)
        return None if known is None else _decoded(known.producers.get(organization))


def _facts(replays: Mapping[str, KnownReplay]) -> Mapping[str, object]:
    return {name: (each.job, dict(each.producers)) for name, each in replays.items()}


def _has_ended(replay: KnownReplay, organization: str) -> bool:
    """Return whether the topic has the report that the organization's part has ended."""
    report = _decoded(replay.producers.get(organization))
    return report is not None and report.ended


def _decoded(value: bytes | None) -> RefillProgress | None:
    """Return a report; None: there is none, or a later release has written it."""
    try:
        return None if value is None else RefillProgress.from_value(value)
    except _UNREADABLE:
        return None
