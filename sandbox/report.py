"""The verdict as text."""

from collections import Counter
from collections.abc import Iterable, Sequence

from sandbox.verdict import OrganizationVerdict, Verdict

MAX_LISTED = 20


def render_report(verdict: Verdict) -> list[str]:
    """Return the lines of a verdict: the organizations, the replays, the remarks, and PASSED or FAILED as the last one."""
    lines = [line for judged in verdict.organizations for line in _organization_lines(judged)]
    replays = [each.line() for each in verdict.replays]
    return [*lines, *replays, *verdict.remarks, _summary_line(verdict)]


def _summary_line(verdict: Verdict) -> str:
    not_yet_due = sum(len(judged.not_yet_due) for judged in verdict.organizations)
    due = sum(judged.in_jira for judged in verdict.organizations) - not_yet_due
    later = f" {_count_text(not_yet_due)} in the future did not have to arrive yet." if not_yet_due else ""
    if verdict.passed:
        return (
            f"PASSED. {_count_text(due)} in Jira: each is in Kafka exactly once and at {_join_names(verdict.destinations)},"
            f" with every field unchanged.{later}"
        )
    discrepancies = ", ".join(
        f"{count:,} {what}" for what, count in _count_discrepancies(verdict).items() if count
    )
    return f"FAILED. {_count_text(due)} in Jira: {discrepancies}.{later}"


def _join_names(names: Sequence[str]) -> str:
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last


def _count_discrepancies(verdict: Verdict) -> Counter[str]:
    discrepancies: Counter[str] = Counter()
    for judged in verdict.organizations:
        for what, ids in _listed_discrepancies(judged):
            discrepancies[what] += len(ids)
        discrepancies["with changed values"] += len({wrong.id for wrong in judged.mismatches})
    discrepancies["replays that are not exact"] = sum(not each.passed for each in verdict.replays)
    return discrepancies


def _listed_discrepancies(judged: OrganizationVerdict) -> Iterable[tuple[str, Sequence[int]]]:
    """Yield each kind of discrepancy, with the ids of its records."""
    yield "missing in Kafka", judged.missing_in_kafka
    yield "more than once in Kafka", judged.repeated_in_kafka
    for name, findings in judged.destinations.items():
        yield f"missing at {name}", findings.missing
        yield f"repeated at {name} without a reason", findings.repeated
    yield "arrived but not in Jira", judged.unexpected


def _organization_lines(judged: OrganizationVerdict) -> Iterable[str]:
    due = judged.in_jira - len(judged.not_yet_due)
    places = {"in Kafka": due - len(judged.missing_in_kafka)} | {
        f"at {name}": due - len(findings.missing) for name, findings in judged.destinations.items()
    }
    counts = ", ".join(f"{count:,} {place}" for place, count in places.items())
    yield f"{judged.organization}: {_count_text(due)} in Jira, {counts}.{_notes_text(judged)}"
    for what, ids in _listed_discrepancies(judged):
        if ids:
            yield f"  {what}: {_list_ids(ids)}"
    for wrong in judged.mismatches[:MAX_LISTED]:
        yield f"  changed values {wrong.where}: record {wrong.id}, {', '.join(wrong.names)}"


def _notes_text(judged: OrganizationVerdict) -> str:
    notes = ""
    for name, findings in judged.destinations.items():
        if findings.explained_repeats:
            notes += (
                f" Rows sent again to {name} after a lost answer: {findings.explained_repeats:,};"
                " their key identifies them."
            )
        if findings.truncated:
            notes += (
                f" Values truncated with a mark because they are too long for {name}: {findings.truncated:,}."
            )
    return notes


def _count_text(count: int) -> str:
    return f"{count:,} record{'' if count == 1 else 's'}"


def _list_ids(ids: Sequence[int]) -> str:
    more = f" and {len(ids) - MAX_LISTED} more" if len(ids) > MAX_LISTED else ""
    return ", ".join(map(str, ids[:MAX_LISTED])) + more
