"""What became of one event at one destination, in words. Pure."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from consumer.group_names import PipelineFlow
from consumer.offsets.delivered import DeliveryProgress
from management.change_history import ChangeEntry
from management.events.stored_event import EventAddress
from management.formatting import iso_seconds
from relay.dead_letters.closings import LetterState
from relay.dead_letters.letter import DeadLetter

DeliveryWord = Literal[
    "accepted",
    "left out",
    "skipped",
    "dead letter",
    "redriven",
    "not delivered yet",
    "not begun",
    "not for it",
    "not known",
]
FlowProgress = tuple[PipelineFlow, DeliveryProgress | None] | str
"""The flow and its progress; a text: why neither is known."""


@dataclass(frozen=True, slots=True)
class DeliveryFacts:
    """What is known of one event and one destination. A text in place of letters, filter or move: why they are not known.

    `left_out`: whether the filter leaves the event out; None: there is no filter, or that is not known. `skipped`: the
    operator's move ahead that passed the event.
    """

    destination: str
    address: EventAddress
    progress: FlowProgress
    letters: Sequence[tuple[DeadLetter, LetterState]] | str
    left_out: bool | str | None
    skipped: ChangeEntry | str | None
    replay: str | None


@dataclass(frozen=True, slots=True)
class DeliveryFinding:
    """What became of an event at a destination. `letter`: the address of its newest dead letter; None: it has none."""

    destination: str
    flow: PipelineFlow | None
    word: DeliveryWord
    sentence: str
    letter: str | None = None

    def document(self) -> dict[str, Any]:
        """Return the JSON document."""
        return {
            "destination": self.destination,
            "flow": self.flow,
            "state": self.word,
            "reason": self.sentence,
            "dead_letter": self.letter,
        }


def judge(facts: DeliveryFacts) -> DeliveryFinding:
    """Return what became of the event, the surest cause first."""
    name = facts.destination
    if facts.replay is not None:
        return DeliveryFinding(
            name,
            None,
            "not for it",
            f"The event is there for the replay {facts.replay} alone, and no flow delivers it.",
        )
    if isinstance(facts.progress, str):
        return DeliveryFinding(name, None, "not known", f"Its offsets cannot be read now: {facts.progress}")
    flow, progress = facts.progress
    if isinstance(facts.letters, str):
        return DeliveryFinding(
            name, flow, "not known", f"The dead letters cannot be read now: {facts.letters}"
        )
    if facts.letters:
        return _of_letter(name, flow, *facts.letters[-1])
    if progress is None:
        return DeliveryFinding(
            name,
            flow,
            "not begun",
            f"Its {flow} group has committed no offset in this partition, so it has delivered nothing there.",
        )
    if not _is_behind(progress, facts.address.offset):
        distance = facts.address.offset - progress.offset
        return DeliveryFinding(
            name,
            flow,
            "not delivered yet",
            f"Its {flow} group has committed offset {progress.offset}, {distance:,} before the event.",
        )
    return _delivered(facts, flow, progress)


def _delivered(facts: DeliveryFacts, flow: PipelineFlow, progress: DeliveryProgress) -> DeliveryFinding:
    name = facts.destination
    committed = f"Its {flow} group has committed offset {progress.offset}, behind the event"
    if isinstance(facts.skipped, str):
        return DeliveryFinding(
            name,
            flow,
            "not known",
            f"{committed}. Whether an operator moved the group ahead over it cannot be read now: {facts.skipped}",
        )
    if facts.skipped is not None:
        return DeliveryFinding(
            name,
            flow,
            "skipped",
            f"{facts.skipped.who} moved the group ahead over it at {iso_seconds(facts.skipped.at)}, so it was not delivered.",
        )
    if facts.left_out is True:
        return DeliveryFinding(
            name,
            flow,
            "left out",
            "The filter of the destination leaves it out, as the settings of this console are now.",
        )
    if isinstance(facts.left_out, str):
        return DeliveryFinding(
            name,
            flow,
            "accepted",
            f"{committed}. Whether the filter left it out cannot be read now: {facts.left_out}",
        )
    return DeliveryFinding(name, flow, "accepted", f"{committed}, and there is no dead letter of it.")


def _of_letter(name: str, flow: PipelineFlow, letter: DeadLetter, state: LetterState) -> DeliveryFinding:
    when = iso_seconds(letter.at)
    if state in {"redriven", "duplicate"}:
        return DeliveryFinding(
            name,
            flow,
            "redriven",
            f"It was refused at {when} ({letter.reason}), and a redrive has delivered it since.",
            letter.address,
        )
    return DeliveryFinding(
        name, flow, "dead letter", f"It was refused at {when}: {letter.reason}", letter.address
    )


def _is_behind(progress: DeliveryProgress, offset: int) -> bool:
    return offset < progress.offset or any(
        each.first <= offset < each.stop for each in progress.delivered_ahead
    )


def skipped_by(
    changes: Sequence[ChangeEntry], name: str, progress: FlowProgress, address: EventAddress
) -> ChangeEntry | None:
    """Return the last move ahead over the event, unless a later move back reached it. `changes`: newest first. None: none."""
    if isinstance(progress, str):
        return None
    for entry in changes:
        if entry.subject != "destination" or entry.name != name or entry.what not in {"skipped", "rewound"}:
            continue
        before, after = (
            _offset(each, progress[0], address.partition) for each in (entry.before, entry.after)
        )
        if before is None or after is None:
            continue
        if min(before, after) <= address.offset < max(before, after):
            return entry if entry.what == "skipped" else None
    return None


def has_skipped_before(
    changes: Sequence[ChangeEntry], name: str, flow: PipelineFlow, address: EventAddress, since: int
) -> bool:
    """Return whether an operator has moved past an event before a place of its partition, at the instant `since` (ms UTC) or later."""
    starts = [
        _offset(each.before, flow, address.partition)
        for each in changes
        if each.subject == "destination" and each.name == name and each.what == "skipped" and each.at >= since
    ]
    return any(start is not None and start < address.offset for start in starts)


def _offset(facts: str | None, flow: PipelineFlow, partition: int) -> int | None:
    """Return the offset of a partition in the facts of a move of this flow. None: they have none."""
    try:
        found = json.loads(facts or "")
        offset = found["offsets"].get(str(partition)) if found["flow"] == flow else None
    except (ValueError, LookupError, TypeError, AttributeError):
        return None
    return offset if isinstance(offset, int) else None
