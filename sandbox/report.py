"""The verdict as a person reads it."""

from collections import Counter
from collections.abc import Iterable

from sandbox.verdict import OrganizationVerdict, Verdict

MAX_LISTED = 20


def render_report(verdict: Verdict) -> list[str]:
    """The verdict as lines to be read by a person, the last of them the verdict itself."""
    lines = [line for judged in verdict.organizations for line in _organization_lines(judged)]
    return [*lines, *verdict.remarks, _summary_line(verdict)]


def _summary_line(verdict: Verdict) -> str:
    not_yet_due = sum(len(judged.not_yet_due) for judged in verdict.organizations)
    due = sum(judged.in_jira for judged in verdict.organizations) - not_yet_due
    later = (
        f" {not_yet_due:,} more will come when their time has come: they lie in the future."
        if not_yet_due
        else ""
    )
    if verdict.passed:
        return f"PASSED. {_count_text(due)} happened: each is in Kafka once and at the sink, every field as it was.{later}"
    faults = ", ".join(f"{count:,} {what}" for what, count in _count_faults(verdict).items() if count)
    return f"FAILED. {_count_text(due)} happened; {faults}.{later}"


def _count_faults(verdict: Verdict) -> Counter[str]:
    faults: Counter[str] = Counter()
    for one in verdict.organizations:
        faults["missing in Kafka"] += len(one.missing_in_kafka)
        faults["more than once in Kafka"] += len(one.repeated_in_kafka)
        faults["missing at the sink"] += len(one.missing_at_sink)
        faults["repeated at the sink without a reason"] += len(one.repeated_at_sink)
        faults["with other values than they had"] += len({wrong.id for wrong in one.mismatches})
        faults["that never happened"] += len(one.unexpected)
    return faults


def _organization_lines(verdict: OrganizationVerdict) -> Iterable[str]:
    name, due = verdict.organization, verdict.in_jira - len(verdict.not_yet_due)
    in_kafka, at_sink = due - len(verdict.missing_in_kafka), due - len(verdict.missing_at_sink)
    yield f"{name}: {_count_text(due)} happened, {in_kafka:,} in Kafka, {at_sink:,} at the sink.{_notes_text(verdict)}"
    for what, ids in (
        ("missing in Kafka", verdict.missing_in_kafka),
        ("more than once in Kafka", verdict.repeated_in_kafka),
        ("missing at the sink", verdict.missing_at_sink),
        ("repeated at the sink without a reason", verdict.repeated_at_sink),
        ("arrived, but never happened", verdict.unexpected),
    ):
        if ids:
            yield f"  {what}: {_list_ids(map(str, ids), len(ids))}"
    for wrong in verdict.mismatches[:MAX_LISTED]:
        yield f"  other values in {wrong.where}: record {wrong.id}, {', '.join(wrong.names)}"


def _notes_text(verdict: OrganizationVerdict) -> str:
    notes = ""
    if verdict.explained_repeats:
        notes += f" Rows that came again because an answer was lost: {verdict.explained_repeats:,}; EventUid tells them."
    if verdict.truncated:
        notes += f" Values too long for a column, cut with a mark: {verdict.truncated:,}."
    return notes


def _count_text(count: int) -> str:
    return f"{count:,} record{'' if count == 1 else 's'}"


def _list_ids(ids: Iterable[str], count: int) -> str:
    shown = [one for one, _ in zip(ids, range(MAX_LISTED), strict=False)]
    more = f" and {count - MAX_LISTED} more" if count > MAX_LISTED else ""
    return ", ".join(shown) + more
