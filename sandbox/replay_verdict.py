"""Whether a replay brought exactly its window into history, and nothing to live."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sandbox.destinations.contract import Comparison, DeliveredRow
from sandbox.expected import JsonObject, iso_milliseconds

REPLAY_MODE = "replay"
_MAX_LISTED = 20

Key = tuple[str, int]
"""An organization, and the id of one of its records."""


@dataclass(frozen=True, slots=True)
class RowCounts:
    """The rows of a destination at one moment."""

    live: int
    history: int


@dataclass(frozen=True, slots=True)
class PlayedReplay:
    """The replay to one destination. The window is of the time of collection, `to_ms` (ms UTC) excluded."""

    id: str
    from_ms: int
    to_ms: int
    state: str
    """As its owner reported it last, with the reason."""
    before: RowCounts


@dataclass(frozen=True, slots=True)
class ReplayEvidence:
    """A replay, and the rows that came since it began. `keeps_one_copy`: as that of the peer."""

    replay: PlayedReplay
    live: Sequence[DeliveredRow]
    history: Sequence[DeliveredRow]
    keeps_one_copy: bool = False


@dataclass(frozen=True, slots=True)
class ReplayVerdict:
    """Findings about the replay to one destination."""

    destination: str
    replay: PlayedReplay
    wanted: int
    """Rows that had to arrive."""
    missing: Sequence[Key]
    repeated: Sequence[Key]
    beyond: Sequence[Key]
    """Events that are not of the window."""
    changed: Sequence[str]
    """Rows with changed values, each with the names of its columns."""
    live: int
    """Rows that went to the place of live events."""

    @property
    def passed(self) -> bool:
        done = self.replay.state == "done"
        return done and not (self.missing or self.repeated or self.beyond or self.changed or self.live)

    def line(self) -> str:
        """Return the verdict as a sentence."""
        window = f"from {iso_milliseconds(self.replay.from_ms)} to {iso_milliseconds(self.replay.to_ms)}"
        subject = f"Replay {self.replay.id} into the history of {self.destination}"
        if self.passed:
            return (
                f"{subject}: exactly the window ({self.wanted:,} rows, collected {window}), live untouched."
            )
        keys = (("missing", self.missing), ("repeated", self.repeated), ("not of the window", self.beyond))
        found = [
            *([] if self.replay.state == "done" else [f"the job is {self.replay.state}"]),
            *(f"{len(each):,} {what}: {_list(each)}" for what, each in keys if each),
            *(f"changed values: {each}" for each in self.changed[:_MAX_LISTED]),
            *([f"{self.live:,} rows in live"] if self.live else []),
        ]
        return f"{subject}, {window}: NOT EXACT. {'; '.join(found)}."


def judge_replay(
    destination: str,
    evidence: ReplayEvidence,
    events: Mapping[Key, JsonObject],
    earlier: Sequence[DeliveredRow],
    compare: Callable[[Mapping[str, Any], JsonObject], Comparison],
) -> ReplayVerdict:
    """Judge the rows of a replay. `events`: all that were published, as `compare` expects them, by key.

    `earlier`: the rows before it; a destination that keeps one copy stores none of those again that its history has.
    """
    replay = evidence.replay
    window = {key for key, event in events.items() if replay.from_ms <= event["collected"] < replay.to_ms}
    if evidence.keeps_one_copy:
        window -= {(row.organization, row.record_id) for row in earlier if row.history}
    found = Counter((row.organization, row.record_id) for row in evidence.history)
    return ReplayVerdict(
        destination,
        replay,
        len(window),
        sorted(window - found.keys()),
        sorted(key for key, count in found.items() if count > 1),
        sorted(found.keys() - window),
        _changed(evidence, events, compare),
        len(evidence.live),
    )


def _changed(
    evidence: ReplayEvidence,
    events: Mapping[Key, JsonObject],
    compare: Callable[[Mapping[str, Any], JsonObject], Comparison],
) -> list[str]:
    changed = []
    for row in evidence.history:
        event = events.get((row.organization, row.record_id))
        differing = [] if event is None else compare(row.row, {**event, "mode": REPLAY_MODE}).differing
        if differing:
            changed.append(f"{row.organization}/{row.record_id} ({', '.join(differing)})")
    return changed


def _list(keys: Sequence[Key]) -> str:
    more = f" and {len(keys) - _MAX_LISTED} more" if len(keys) > _MAX_LISTED else ""
    return ", ".join(f"{name}/{number}" for name, number in keys[:_MAX_LISTED]) + more
