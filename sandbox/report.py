"""The verdict as a person reads it."""

from collections import Counter
from collections.abc import Iterable

from sandbox.verdict import Judged, Verdict

LISTED = 20


def in_words(verdict: Verdict) -> list[str]:
    """The verdict as lines to be read by a person, the last of them the verdict itself."""
    lines = [line for judged in verdict.organizations for line in _lines(judged)]
    return [*lines, *verdict.remarks, _in_one_line(verdict)]


def _in_one_line(verdict: Verdict) -> str:
    ahead = sum(len(judged.ahead) for judged in verdict.organizations)
    due = sum(judged.happened for judged in verdict.organizations) - ahead
    later = f" {ahead:,} more will come when their time has come: they lie in the future." if ahead else ""
    if verdict.passed:
        return f"PASSED. {_records(due)} happened: each is in Kafka once and at the sink, every field as it was.{later}"
    faults = ", ".join(f"{count:,} {what}" for what, count in _faults(verdict).items() if count)
    return f"FAILED. {_records(due)} happened; {faults}.{later}"


def _faults(verdict: Verdict) -> Counter[str]:
    faults: Counter[str] = Counter()
    for one in verdict.organizations:
        faults["missing in Kafka"] += len(one.missing_in_kafka)
        faults["more than once in Kafka"] += len(one.repeated_in_kafka)
        faults["missing at the sink"] += len(one.missing_at_sink)
        faults["repeated at the sink without a reason"] += len(one.repeated_at_sink)
        faults["with other values than they had"] += len({wrong.id for wrong in one.wrong})
        faults["that never happened"] += len(one.strangers)
    return faults


def _lines(judged: Judged) -> Iterable[str]:
    name, due = judged.organization, judged.happened - len(judged.ahead)
    in_kafka, at_sink = due - len(judged.missing_in_kafka), due - len(judged.missing_at_sink)
    yield f"{name}: {_records(due)} happened, {in_kafka:,} in Kafka, {at_sink:,} at the sink.{_notes(judged)}"
    for what, ids in (
        ("missing in Kafka", judged.missing_in_kafka),
        ("more than once in Kafka", judged.repeated_in_kafka),
        ("missing at the sink", judged.missing_at_sink),
        ("repeated at the sink without a reason", judged.repeated_at_sink),
        ("arrived, but never happened", judged.strangers),
    ):
        if ids:
            yield f"  {what}: {_listed(map(str, ids), len(ids))}"
    for wrong in judged.wrong[:LISTED]:
        yield f"  other values in {wrong.where}: record {wrong.id}, {', '.join(wrong.names)}"


def _notes(judged: Judged) -> str:
    notes = ""
    if judged.explained_repeats:
        notes += f" Rows that came again because an answer was lost: {judged.explained_repeats:,}; EventUid tells them."
    if judged.cut:
        notes += f" Values too long for a column, cut with a mark: {judged.cut:,}."
    return notes


def _records(count: int) -> str:
    return f"{count:,} record{'' if count == 1 else 's'}"


def _listed(ids: Iterable[str], count: int) -> str:
    shown = [one for one, _ in zip(ids, range(LISTED), strict=False)]
    more = f" and {count - LISTED} more" if count > LISTED else ""
    return ", ".join(shown) + more
