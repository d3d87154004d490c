"""Texts on a replay that the command line and the console share. Pure."""

from collections.abc import Sequence

from management.formatting import iso_seconds
from management.replay.view import ReplayView
from relay.replays.job import ReplayJob

_CONTENTS = {
    "dead-letters": "dead letters",
    "refill": "events read from the source again",
    "unreadable": "unreadable records of producers",
}
_LOST = "Kafka deleted lost offsets of the dead-letter topic before they were read, or cannot read them."
_LOST_LETTERS = {
    "dead-letters": f"{_LOST} The events of those letters may be on the event topics or in an archive: `jira-relay replay start` sends"
    " those of a window again.",
    "unreadable": f"{_LOST} `jira-relay dead-letters list` shows the letters that are left.",
}
_UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"))


def events_text(job: ReplayJob) -> str:
    """Return which events a job is about: `created 2026-11-25T00:00:00Z to 2026-11-26T00:00:00Z`."""
    content = _CONTENTS.get(job.content)
    window = window_text(job.by, job.from_ms, job.to_ms, len(job.events))
    return window if content is None else f"{content}, {window}"


def window_text(by: str, from_ms: int | None, to_ms: int | None, events: int = 0) -> str:
    """Return the window of a replay. `events`: how many single events it is about; 0: all of the window."""
    single = f"{events:,} single event{'s'[: events != 1]}" if events else ""
    if from_ms is None and to_ms is None:
        return single or "all"
    start = "the oldest" if from_ms is None else iso_seconds(from_ms)
    end = "the newest" if to_ms is None else iso_seconds(to_ms)
    return ", ".join(filter(None, (single, f"{by} {start} to {end}")))


def target_text(*, to_live: bool) -> str:
    """Return where a replay sends its events."""
    return "where new events go, so rules may raise alarms again" if to_live else "to its history"


def duration_text(seconds: float) -> str:
    """Return a duration in its two largest units: `2 h 5 min`, `40 s`."""
    whole = max(0, round(seconds))
    parts: list[str] = []
    for length, unit in _UNITS:
        if whole >= length or parts:
            parts.append(f"{whole // length} {unit}")
            whole %= length
        if len(parts) == 2:
            return " ".join(part for part in parts if not part.startswith("0 "))
    return " ".join(filter(None, (*parts, f"{whole} s" if whole or not parts else "")))


def counts_text(view: ReplayView) -> str:
    """Return the counts of a replay: `1,200 sent, 30 skipped`. Counts of zero are left out, but for the first."""
    progress = view.progress
    word = "published" if view.job.content == "unreadable" else "sent"
    if progress is None:
        return f"0 {word}"
    counts = [f"{progress.sent:,} {word}"]
    if progress.skipped:
        counts.append(f"{progress.skipped:,} skipped")
    if progress.dead_lettered:
        counts.append(f"{progress.dead_lettered:,} dead letter{'s'[: progress.dead_lettered != 1]}")
    if progress.lost:
        counts.append(f"{progress.lost:,} offsets lost")
    return ", ".join(counts)


def result_text(view: ReplayView) -> str:
    """Return how an ended replay ended, and what to do."""
    job, progress = view.job, view.progress
    if progress is None:
        return f"The replay {job.id} has not begun."
    took = duration_text(((progress.finished_at or view.now_ms) - progress.started_at) / 1000)
    text = f"The replay {job.id} is {progress.state}: {counts_text(view)}, in {took}."
    return " ".join([text, *filter(None, [view.reason]), *_advice(view)])


def _advice(view: ReplayView) -> Sequence[str]:
    job, progress = view.job, view.progress
    if progress is None:
        return []
    advice = []
    if progress.lost and job.content in _LOST_LETTERS:
        advice.append(_LOST_LETTERS[job.content])
    elif progress.lost:
        advice.append(
            "Kafka deleted lost offsets before they were read; an archive may have their events (--archive)."
        )
    if progress.dead_lettered:
        advice.append("`jira-relay dead-letters list` shows the dead letters.")
    if progress.state == "cancelled" and progress.sent and job.content != "unreadable":
        advice.append(f"What was sent stays at {job.destination}.")
    return advice
