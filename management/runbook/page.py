"""The page docs/operations/runbook.md: what the code reports, with the explanations."""

from collections.abc import Mapping

from consumer.destinations.catalogue import DESTINATIONS
from consumer.destinations.contract import AnyKind
from management.runbook.code_texts import (
    answers_by_status,
    answers_without_status,
    destination_problems,
    kafka_errors,
)
from management.runbook.explanations import (
    ANSWERS,
    CONSUMER_STATES,
    DESTINATION_PROBLEMS,
    DESTINATION_STATES,
    KAFKA_ERRORS,
    ORGANIZATION_STATES,
    PRODUCER_STATES,
    SOURCE_ERRORS,
    Explanations,
)
from producer.sources.catalogue import SOURCES
from producer.sources.errors import MESSAGES, ErrorKind, Messages, RetryAction, SourceFailure

_HEAD = """# Runbook

<!-- Written by `python -m management.runbook` from the states and errors of the code; meaning and first command are in `management/runbook/explanations.py`. A test holds the page equal. -->

Each section lists the states or errors of one part: the meaning, the text that the relay shows, and the first command.
In a text, a word in capitals and a … are filled in by the relay.

Begin with these two commands:

    jira-relay check                   every connection, with the fix for each that fails
    jira-relay organizations list      the state of every organization, with its reason

The reason is also in the log, in the [metrics](../metrics.md) and, for a process, at `/readyz`.
"""
_WAITS = {
    RetryAction.WAIT: "after the delay that the source asked for",
    RetryAction.RETRY: "by itself, with growing waits",
    RetryAction.FIX: "seldom, and at once after a change",
    RetryAction.REDUCE_PAGE: "at once, with fewer records",
}


def render_page() -> str:
    """Return the page."""
    return "".join([
        _HEAD,
        _states("Organizations", ORGANIZATION_STATES, "`jira-relay organizations list` shows these states."),
        _states("Producer processes", PRODUCER_STATES, "The record `produce/…` of the status topic shows these states."),
        _source_errors(),
        _states("Destinations", DESTINATION_STATES, "The record `destination/NAME` of the status topic shows these states."),
        _states("Consumer processes", CONSUMER_STATES, "The record `consume/…` of the status topic shows these states."),
        *(_answers(name, kind) for name, kind in DESTINATIONS.items()),
        _texts("Destinations: problems", destination_problems(), DESTINATION_PROBLEMS, "The status of the destination shows these reasons."),
        _texts("Kafka", kafka_errors(), KAFKA_ERRORS, "`jira-relay check`, the start of a service and its log show these texts after the address of the broker."),
    ])  # fmt: skip


def _states(title: str, lines: Explanations, where: str) -> str:
    rows = [[f"`{state}`", *line] for state, line in lines.items()]
    return _table(title, where, ["state", "meaning", "first command"], rows)


def _source_errors() -> str:
    rows = []
    messages = {name: source.messages for name, source in SOURCES.items()}
    for kind, (meaning, command) in SOURCE_ERRORS.items():
        if kind in set(ErrorKind):
            action = SourceFailure(ErrorKind(kind), "").action
            shown = messages_of(ErrorKind(kind), messages)
        else:
            action, shown = RetryAction.RETRY, "A defect of the relay (…); its log has the details."
        rows.append([f"`{kind}`", meaning, shown, _WAITS[action], command])
    where = "The reason of a failing or waiting organization shows these texts; `jira_relay_producer_source_errors_total` counts them by kind."
    return _table(
        "Organizations: errors", where, ["kind", "meaning", "text", "tried again", "first command"], rows
    )


def messages_of(kind: ErrorKind, by_source: Mapping[str, Messages]) -> str:
    """Return the message of a kind: one, or one for each source, under its name, where they differ."""
    texts = {name: messages.get(kind, MESSAGES.get(kind)) for name, messages in by_source.items()}
    shown = {
        name: text.format(host="HOST", status="STATUS", quote=" (…)", key_hint="")
        for name, text in texts.items()
        if text is not None
    }
    if len(set(shown.values())) == 1:
        return next(iter(shown.values()))
    return "<br>".join(f"{name}: {text}" for name, text in shown.items())


def _answers(name: str, kind: AnyKind) -> str:
    rows = [
        [_ranges(statuses), outcome, ANSWERS[outcome][0], reason, ANSWERS[outcome][1]]
        for (outcome, reason), statuses in answers_by_status(kind).items()
    ]
    rows += [
        ["none", outcome, ANSWERS[outcome][0], text, ANSWERS[outcome][1]]
        for outcome, text in answers_without_status(kind)
    ]
    where = (
        f"These are the outcomes of a request to a destination of the kind `{name}`;"
        f" [its page](../destinations/{name}.md) says more. A status of none means that no answer came."
    )
    return _table(
        f"Destinations: answers of the kind {name}",
        where,
        ["status", "outcome", "meaning", "text", "first command"],
        rows,
    )


def _texts(title: str, found: list[tuple[str, str]], lines: Explanations, where: str) -> str:
    rows = [[lines[name][0], text, lines[name][1]] for name, text in found]
    return _table(title, where, ["meaning", "text", "first command"], rows)


def _table(title: str, where: str, head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *([cell.replace("|", r"\|") for cell in row] for row in rows)]
    return f"\n## {title}\n\n{where}\n\n" + "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _ranges(statuses: list[int]) -> str:
    parts: list[list[int]] = []
    for status in statuses:
        if parts and parts[-1][-1] == status - 1:
            parts[-1] = [parts[-1][0], status]
        else:
            parts.append([status])
    return ", ".join(str(part[0]) if len(part) == 1 else f"{part[0]} to {part[1]}" for part in parts)
