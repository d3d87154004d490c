"""What was wrong with a dead letter, and what to do, in sentences for an operator. Pure."""

from collections.abc import Collection

from management.dead_letters import DeadLetterContent, DeadLetterStory
from management.decoding import SCHEMA_UNKNOWN
from management.formatting import iso_seconds
from relay.dead_letters.letter import DeadLetter
from relay.errors import sentence

_STATUS_REMEDIES = {
    "400": "The destination does not accept the form of the event: compare its columns or mapping with the page of its kind.",
    "413": "The event is larger than the destination accepts: raise its limit.",
    "422": "The destination does not accept a value of the event: compare its columns or mapping with the page of its kind.",
}
_NO_STATUS_REMEDY = "The reason names the cause; the page of the destination's kind explains it."


def describe_letter(
    found: DeadLetterContent, story: DeadLetterStory, destinations: Collection[str]
) -> list[str]:
    """Return sentences: the refusal, since when, how often, what became of it, what to do. `destinations`: of the settings."""
    letter = found.dead_letter
    texts = [_refusal(letter), _times(letter, story), _same_reason(story), _fate(story)]
    if story.closed_by is None and not story.written_anew:
        texts.append(_remedy(found, destinations))
    return [text for text in texts if text]


def _refusal(letter: DeadLetter) -> str:
    organization = letter.organization or "no organization"
    if letter.destination is None:
        return sentence(f"A producer could not make an event of a record of {organization}: {letter.reason}")
    where = f" ({letter.headers['flow']})" if letter.headers.get("flow") else ""
    where += f" in the replay {letter.headers['replay']}" if letter.headers.get("replay") else ""
    if not letter.headers.get("status"):
        return sentence(
            f"An event of {organization} could not be delivered to {letter.destination}{where}: {letter.reason}"
        )
    status = letter.headers["status"]
    return sentence(
        f"{letter.destination}{where} refused an event of {organization} with status {status}: {letter.reason}"
    )


def _times(letter: DeadLetter, story: DeadLetterStory) -> str:
    if letter.tries == 1:
        return f"That was at {iso_seconds(letter.at)}, the first time."
    return f"That was at {iso_seconds(letter.at)}, refusal {letter.tries} of this event; the first was at {iso_seconds(story.first_at)}."


def _same_reason(story: DeadLetterStory) -> str:
    group = story.group
    if group.count <= 1:
        return "No other dead letter has this reason."
    times = f"from {iso_seconds(group.first_at)} to {iso_seconds(group.last_at)}"
    return (
        f"{group.count:,} dead letters have this reason, written {times}; {group.states['open']:,} are open."
    )


def _fate(story: DeadLetterStory) -> str:
    closing = story.closed_by
    if story.written_anew:
        return "These parts are the rest of a write that was given up and begun anew: another letter has the whole record, and nothing is left to do."
    if closing is None:
        return "It is open."
    job = closing.headers.get("replay", "unknown")
    if closing.redriven is not None and story.group.written_by == "producer":
        when = " before" if closing.was_published_before else ""
        return f"The replay {job} marked it at {iso_seconds(closing.at)}: the record is published{when}, and nothing is left to do."
    if closing.redriven is not None:
        return f"It was redriven at {iso_seconds(closing.at)} by the replay {job}: the record was accepted, and nothing is left to do."
    return f"The replay {job} sent the record again, and it was refused again: see dead letter {closing.address}."


def _remedy(found: DeadLetterContent, destinations: Collection[str]) -> str:
    letter = found.dead_letter
    if letter.destination is None:
        return (
            "The record stays here as it is: `--raw` prints it. The reason names what the producer could not read. Upgrade the producers"
            " to a release that reads such records, and run `jira-relay dead-letters redrive --producer`."
        )
    if (found.remark or "").startswith(SCHEMA_UNKNOWN):
        return (
            f"Whether the bytes are an event is not known here. {found.remark} A consumer that knows the schema redrives it: run"
            f" `jira-relay dead-letters redrive --destination {letter.destination}`."
        )
    if found.decoded is None or found.decoded.subject != "AuditEvent":
        return (
            "These bytes are no event, so they cannot be redriven. If other records have this reason too, check who writes to the"
            " event topics, and the schemas in the registry. `--raw` prints the bytes."
        )
    if letter.destination not in destinations:
        return (
            f"The settings have no destination {letter.destination} any more, so the letter stays open. Configure the destination"
            " under this name again to redrive it, or keep the event with `jira-relay dead-letters export`."
        )
    cause = _STATUS_REMEDIES.get(letter.headers.get("status", ""), _NO_STATUS_REMEDY)
    return f"{cause} Then run `jira-relay dead-letters redrive --destination {letter.destination}`."
