"""A replay as an operator sees it: its state in words, how far it is, and how long it takes. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from management.replay.parts import has_unread, parts_of, shortfall_text
from management.replay.signs import SILENT_MS
from relay.replays.job import KnownReplay, ReplayJob, ReplayProgress, ReplayRange
from relay.timestamps import DAY_MS

_CHANGING = {"paused": "pausing", "cancelled": "cancelling", "running": "resuming"}
_NEXT = {
    "running": "It goes on from its last committed place when a consumer of {0} runs",
    "paused": "It is paused when a consumer of {0} runs, and sends nothing before",
    "cancelled": "It is cancelled when a consumer of {0} runs, and sends nothing before",
}
_SEE_PRODUCERS = "Make sure that producers run (`jira-relay produce`), or cancel the replay."
_SEE = "see `jira-relay destinations list` and `jira-relay consume`."


@dataclass(frozen=True, slots=True)
class RangePlace:
    """One range, and the offset before which all its records are done."""

    range: ReplayRange
    place: int


@dataclass(frozen=True, slots=True)
class ReplayView:
    """One replay, at `now_ms` (ms UTC)."""

    replay: KnownReplay
    now_ms: int
    silent_ms: int | None = None
    """For how long its reader has seen no sign of life (`SignsOfLife`); None: it has just begun to look, so the clocks decide."""

    @property
    def job(self) -> ReplayJob:
        return self.replay.job

    @property
    def progress(self) -> ReplayProgress | None:
        return self.replay.progress

    @property
    def ended(self) -> bool:
        return self.replay.ended

    @property
    def state(self) -> str:
        """The state in a word: waiting, running, pausing, paused, resuming, cancelling, unattended, done, failed, cancelled."""
        progress, wished = self.progress, self.job.wished
        if progress is not None and (progress.ended or (progress.state == wished == "paused")):
            return progress.state
        if self.unattended_since is not None:
            return "unattended"
        if wished != "running":
            return _CHANGING[wished]
        if progress is None:
            return "waiting"
        return "resuming" if progress.state == "paused" else progress.state

    @property
    def since(self) -> int:
        """Since when it is in this state, in ms UTC."""
        if self.unattended_since is not None:
            return self.unattended_since
        if self.progress is None or self.state in _CHANGING.values():
            return self.job.wished_at
        return self.progress.since

    @property
    def unattended_since(self) -> int | None:
        """Since when no consumer works on a job that should be worked on, in ms UTC; None: one does, or none needs to."""
        progress, job = self.progress, self.job
        if progress is not None and (progress.ended or (progress.state == job.wished == "paused")):
            return None
        sign = max(job.wished_at, 0 if progress is None else progress.at)
        if self.silent_ms is None:
            return sign if self.now_ms - sign > SILENT_MS else None
        return min(sign, self.now_ms - self.silent_ms) if self.silent_ms > SILENT_MS else None

    @property
    def is_doubtful(self) -> bool:
        """Whether its last sign is old or of the future by the clocks of two machines, and nobody has looked for another.

        Clocks differ by less than a day.
        """
        sign = max(self.job.wished_at, 0 if self.progress is None else self.progress.at)
        paused = self.progress is not None and self.progress.state == self.job.wished == "paused"
        unknown = self.silent_ms is None and not self.ended and not paused
        return unknown and SILENT_MS < abs(self.now_ms - sign) < DAY_MS

    @property
    def reason(self) -> str:
        """Why it is in this state, and what to do. Empty: there is no more to say."""
        progress, job = self.progress, self.job
        own = "" if progress is None else progress.reason or ""
        if progress is not None and progress.ended:
            own = " ".join(filter(None, (own, shortfall_text(self.replay))))
        if self.unattended_since is None:
            return own
        if job.content == "unreadable":
            return own or f"No producer has taken it yet. {_SEE_PRODUCERS}"
        last = "has taken it yet" if progress is None else f"works on it; {progress.owner} did last"
        following = f"{_NEXT[job.wished].format(job.destination)}: {_SEE}"
        look = f"The clocks of two machines say so: `jira-relay replay show {job.id}` looks for a newer sign."
        texts = (f"No consumer {last}.", following, look if self.is_doubtful else "", own)
        return " ".join(filter(None, texts))

    @property
    def total(self) -> int:
        """Offsets of its ranges; some hold no record."""
        return sum(each.end - each.start for each in self.job.ranges)

    @property
    def done(self) -> int:
        """Offsets of its ranges that are behind its places."""
        return self.total - self.replay.offsets_left()

    @property
    def places(self) -> Sequence[RangePlace]:
        """Where each range is, in their order."""
        reported = {} if self.progress is None else {each.tp: each.offset for each in self.progress.places}
        return [
            RangePlace(each, max(each.start, reported.get(each.tp, each.start))) for each in self.job.ranges
        ]

    @property
    def fraction(self) -> float:
        """How far it is, from 0 to 1. Of a redrive by the producers: the share of its organizations that are done."""
        if self.progress is not None and self.progress.state == "done":
            return 1.0
        if self.job.content == "unreadable":
            ended = sum(each.state in {"done", "failed"} for each in parts_of(self.replay))
            return ended / len(self.job.organizations) if self.job.organizations else 0.0
        return self.done / self.total if self.total else 0.0

    @property
    def seconds_left(self) -> float | None:
        """How long it needs at the speed it has had so far. None: it does not run, or has no speed yet."""
        if self.state != "running" or self.progress is None or not self.done:
            return None
        elapsed = (self.progress.at - self.progress.started_at) / 1000
        return elapsed * self.replay.offsets_left() / self.done if elapsed > 0 else None

    @property
    def complete(self) -> bool:
        """Whether it is done, no event was lost, and a source served all records of its window."""
        progress = self.progress
        done = progress is not None and progress.state == "done" and not progress.lost
        return done and not has_unread(self.replay)
