"""Dead letters as JSON documents and sentences, which the command line and the console share. Pure."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from management.dead_letter_export import letter_document
from management.dead_letter_list import ListedLetter
from management.dead_letter_redrive import RedrivePlan
from management.dead_letter_summary import ReasonGroup
from management.dead_letters import DeadLetterContent
from management.formatting import iso_milliseconds
from management.replay.jobs import facts
from management.unreadable_redrive import UnreadablePlan
from relay.dead_letters.closings import LetterState

STATES: tuple[LetterState, ...] = ("open", "redriven", "failed again", "duplicate")


def group_document(group: ReasonGroup) -> dict[str, Any]:
    """Return the numbers of one reason."""
    return {
        "written_by": group.written_by,
        "reason": group.reason,
        "letters": group.count,
        **{state.replace(" ", "_"): group.states[state] for state in STATES},
        "first_at": iso_milliseconds(group.first_at),
        "last_at": iso_milliseconds(group.last_at),
    }


def letters_document(letters: Sequence[ListedLetter]) -> list[dict[str, Any]]:
    """Return listed letters without their content."""
    return [letter_document(each.letter, each.state) for each in letters]


def content_document(found: DeadLetterContent) -> dict[str, Any]:
    """Return one letter with its content."""
    text = decode_text(found.content)
    content = {"hex": found.content.hex()} if text is None else {"text": text}
    decoded = (
        {} if found.decoded is None else {"subject": found.decoded.subject, "record": found.decoded.record}
    )
    return letter_document(found.dead_letter, None) | {"remark": found.remark} | content | decoded


def decode_text(content: bytes) -> str | None:
    """Decode UTF-8 that can be shown. None: the content is not such text."""
    try:
        text = content.decode()
    except UnicodeDecodeError:
        return None
    return text if all(char.isprintable() or char in "\n\r\t" for char in text) else None


def redrive_document(plan: RedrivePlan, *, started: bool) -> dict[str, Any]:
    """Return what a redrive would do, or does."""
    return {
        "started": started,
        "replays": [
            facts(each.job)
            | {
                "destination": each.job.destination,
                "letters": each.letters.events,
                "by_organization": dict(each.letters.by_organization),
                "by_reason": list(map(group_document, each.letters.summary.groups())),
                "skipped": dict(each.letters.skipped),
                "notes": list(each.notes),
            }
            for each in plan.jobs
        ],
        "left_open": dict(plan.left),
    }


def unreadable_redrive_document(plan: UnreadablePlan, *, started: bool) -> dict[str, Any]:
    """Return what a redrive by the producers would do, or does, in the fields of another redrive."""
    letters = {
        "letters": plan.readable.total(),
        "by_organization": dict(plan.readable),
        "by_reason": list(map(group_document, plan.summary.groups())),
        "skipped": dict(plan.still),
        "notes": list(plan.notes),
    }
    jobs = [] if plan.job is None else [plan.job]
    return {
        "started": started,
        "replays": [facts(job) | {"destination": job.destination} | letters for job in jobs],
        "left_open": dict(plan.left if jobs else plan.left + plan.still),
    }


def skipped_texts(skipped: Counter[str]) -> list[str]:
    """Return a sentence for each reason why letters stay open."""
    return [
        f"{count:,} letter{'s stay' if count != 1 else ' stays'} open: {why}"
        for why, count in skipped.most_common()
    ]
