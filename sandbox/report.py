"""The verdict as text."""

from collections import Counter
from collections.abc import Iterable

from sandbox.verdict import OrganizationVerdict, Verdict

MAX_LISTED = 20


def render_report(verdict: Verdict) -> list[str]:
    """Return the lines of a verdict: the organizations, the remarks, and PASSED or FAILED as the last one."""
    lines = [line for judged in verdict.organizations for line in _organization_lines(judged)]
    return [*lines, *verdict.remarks, _summary_line(verdict)]


def _summary_line(verdict: Verdict) -> str:
    not_yet_due = sum(len(judged.not_yet_due) for judged in verdict.organizations)
    due = sum(judged.in_jira for judged in verdict.organizations) - not_yet_due
    later = f" {_count_text(not_yet_due)} in the future did not have to arrive yet." if not_yet_due else ""
    if verdict.passed:
        return (
            f"PASSED. {_count_text(due)} in Jira: each is in Kafka exactly once and at the destination,"
            f" with every field unchanged.{later}"
        )
    faults = ", ".join(f"{count:,} {what}" for what, count in _count_faults(verdict).items() if count)
    return f"FAILED. {_count_text(due)} in Jira: {faults}.{later}"


def _count_faults(verdict: Verdict) -> Counter[str]:
    faults: Counter[str] = Counter()
    for one in verdict.organizations:
        faults["missing in Kafka"] += len(one.missing_in_kafka)
        faults["more than once in Kafka"] += len(one.repeated_in_kafka)
        faults["missing at the destination"] += len(one.missing_at_destination)
        faults["repeated at the destination without a reason"] += len(one.repeated_at_destination)
        faults["with changed values"] += len({wrong.id for wrong in one.mismatches})
        faults["arrived but not in Jira"] += len(one.unexpected)
    return faults


def _organization_lines(verdict: OrganizationVerdict) -> Iterable[str]:
    name, due = verdict.organization, verdict.in_jira - len(verdict.not_yet_due)
    in_kafka, delivered = due - len(verdict.missing_in_kafka), due - len(verdict.missing_at_destination)
    yield (
        f"{name}: {_count_text(due)} in Jira, {in_kafka:,} in Kafka, {delivered:,} at the destination."
        f"{_notes_text(verdict)}"
    )
    for what, ids in (
        ("missing in Kafka", verdict.missing_in_kafka),
        ("more than once in Kafka", verdict.repeated_in_kafka),
        ("missing at the destination", verdict.missing_at_destination),
        ("repeated at the destination without a reason", verdict.repeated_at_destination),
        ("arrived but not in Jira", verdict.unexpected),
    ):
        if ids:
            yield f"  {what}: {_list_ids(map(str, ids), len(ids))}"
    for wrong in verdict.mismatches[:MAX_LISTED]:
        yield f"  changed values {wrong.where}: record {wrong.id}, {', '.join(wrong.names)}"


def _notes_text(verdict: OrganizationVerdict) -> str:
    notes = ""
    if verdict.explained_repeats:
        notes += (
            f" Rows sent again after a lost answer: {verdict.explained_repeats:,}; EventUid identifies them."
        )
    if verdict.truncated:
        notes += (
            f" Values truncated with a mark because they are too long for a column: {verdict.truncated:,}."
        )
    return notes


def _count_text(count: int) -> str:
    return f"{count:,} record{'' if count == 1 else 's'}"


def _list_ids(ids: Iterable[str], count: int) -> str:
    shown = [one for one, _ in zip(ids, range(MAX_LISTED), strict=False)]
    more = f" and {count - MAX_LISTED} more" if count > MAX_LISTED else ""
    return ", ".join(shown) + more
