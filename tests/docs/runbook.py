"""Writes the runbook from the states and errors of the code: `python -m tests.docs.runbook > docs/operations/runbook.md`."""

import ast
import importlib
import inspect
import pkgutil
from types import ModuleType

import producer.polling.poller
import relay.kafka.diagnostics.messages
from consumer.assignment import losses, schema_hold, start_offset_texts
from consumer.delivery import dead_letters, defects
from consumer.destinations.catalogue import DESTINATIONS
from consumer.destinations.contract import AnyKind
from consumer.targets import guard
from producer.sources.catalogue import SOURCES
from producer.sources.errors import MESSAGES, ErrorKind, RetryAction, SourceFailure
from tests.docs.runbook_lines import (
    ANSWERS,
    CONSUMER_STATES,
    DESTINATION_PROBLEMS,
    DESTINATION_STATES,
    KAFKA_ERRORS,
    ORGANIZATION_STATES,
    PRODUCER_STATES,
    SOURCE_ERRORS,
    Lines,
)

HEAD = """# Runbook

<!-- Written by `python -m tests.docs.runbook` from the states and errors of the code; a test holds it equal. -->

Each section lists the states or errors of one part: the meaning, the text that the relay shows, and the first command.
In a text, a word in capitals and a … are filled in by the relay.

Begin with these two commands:

    jira-relay check                   every connection, with the fix for each that fails
    jira-relay organizations list      the state of every organization, with its reason

The reason is also in the log, in the [metrics](../metrics.md) and, for a process, at `/readyz`.
"""
WAITS = {
    RetryAction.WAIT: "after the delay that the source asked for",
    RetryAction.RETRY: "by itself, with growing waits",
    RetryAction.FIX: "seldom, and at once after a change",
    RetryAction.REDUCE_PAGE: "at once, with fewer records",
}


def page() -> str:
    return "".join([
        HEAD,
        _states("Organizations", ORGANIZATION_STATES, "`jira-relay organizations list` shows these states."),
        _states("Producer processes", PRODUCER_STATES, "The record `produce/…` of the status topic shows these states."),
        _source_errors(),
        _states("Destinations", DESTINATION_STATES, "The record `destination/NAME` of the status topic shows these states."),
        _states("Consumer processes", CONSUMER_STATES, "The record `consume/…` of the status topic shows these states."),
        *(_answers(name, kind) for name, kind in DESTINATIONS.items()),
        _texts("Destinations: problems", destination_problems(), DESTINATION_PROBLEMS, "The status of the destination shows these reasons."),
        _texts("Kafka", kafka_errors(), KAFKA_ERRORS, "`jira-relay check`, the start of a service and its log show these texts after the address of the broker."),
    ])  # fmt: skip


def states_of(module: ModuleType) -> set[str]:
    """Return the states that a module reports: literals that are named `state`, begin a status or begin a returned pair."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(inspect.getsource(module))):
        match node:
            case ast.Assign(targets=[ast.Name(id="state")], value=value):
                found |= _literals(value)
            case ast.Call(
                func=ast.Name(id="take_over") | ast.Attribute(attr="transition"),
                args=[ast.Constant(value=str(state)), *_],
            ):
                found.add(state)
            case ast.Return(value=ast.Tuple(elts=[ast.Constant(value=str(state)), _])):
                found.add(state)
    return found


def source_errors() -> set[str]:
    """Return every error kind, also those of the relay itself, which are reported by name."""
    found = {str(kind) for kind in ErrorKind}
    for module in (producer.polling.poller, producer.status_reporter):
        for node in ast.walk(ast.parse(inspect.getsource(module))):
            match node:
                case ast.Call(func=ast.Attribute(attr="failing"), args=[ast.Constant(value=str(kind)), *_]):
                    found.add(kind)
    return found


def answers_by_status(kind: AnyKind) -> dict[tuple[str, str], list[int]]:
    """Return the statuses of a peer by outcome and reason; none for a peer without statuses."""
    found: dict[tuple[str, str], list[int]] = {}
    if kind.classify_status is None:
        return found
    for status in range(200, 600):
        outcome = kind.classify_status(status)
        reason = getattr(outcome, "reason", "").replace(str(status), "STATUS")
        found.setdefault((type(outcome).__name__, reason), []).append(status)
    return found


def answers_without_status(kind: AnyKind) -> list[tuple[str, str]]:
    """Return outcome and text of each request that had no answer: the modules of the kind that build outcomes, without response.py."""
    package = importlib.import_module(kind.config.__module__.rpartition(".")[0])
    found: list[tuple[str, str]] = []
    for each in sorted(each.name for each in pkgutil.iter_modules(package.__path__)):
        if each != "response":
            module = importlib.import_module(f"{package.__name__}.{each}")
            found += [(name, text) for name in ("Retry", "Paused") for _, text in _calls(module, {name})]
    return found


def destination_problems() -> list[tuple[str, str]]:
    functions = (
        defects.config_fault_text,
        dead_letters._dead_letter_failure_text,
        defects.defect_text,
        defects.filter_fault_text,
        losses._loss_text,
        losses._corrupt_batch_text,
        schema_hold._doubt_text,
        start_offset_texts.moved_text,
        start_offset_texts.reread_text,
        start_offset_texts.unproven_text,
        guard._another_target_text,
        guard._unknown_text,
    )
    return [(function.__name__, _returned(function)) for function in functions]


def kafka_errors() -> list[tuple[str, str]]:
    """Return function and text of each connection problem."""
    return _calls(relay.kafka.diagnostics.messages, {"ConnectionProblem"})


def _calls(module: ModuleType, names: set[str]) -> list[tuple[str, str]]:
    tree = ast.parse(inspect.getsource(module))
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    return [
        (function.name, _text(node.args[0]))
        for function in functions
        for node in ast.walk(function)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in names
    ]


def _returned(function: object) -> str:
    tree = ast.parse(inspect.getsource(function))
    return next(_text(node.value) for node in ast.walk(tree) if isinstance(node, ast.Return))


def _text(node: ast.expr | None) -> str:
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=values):
            return "".join(_text(value) for value in values).replace("……", "…")
    return "…"  # filled in at run time


def _literals(node: ast.expr) -> set[str]:
    match node:
        case ast.Constant(value=str(text)):
            return {text}
        case ast.IfExp(body=body, orelse=other):
            return _literals(body) | _literals(other)
    return set()


def _states(title: str, lines: Lines, where: str) -> str:
    rows = [[f"`{state}`", *line] for state, line in lines.items()]
    return _table(title, where, ["state", "meaning", "first command"], rows)


def _source_errors() -> str:
    rows = []
    texts = {
        kind: text
        for messages in (MESSAGES, *(one.messages for one in SOURCES.values()))
        for kind, text in messages.items()
    }
    for kind, (meaning, command) in SOURCE_ERRORS.items():
        if kind in set(ErrorKind):
            action = SourceFailure(ErrorKind(kind), "").action
            shown = texts[ErrorKind(kind)].format(host="HOST", status="STATUS", quote=" (…)", key_hint="")
        else:
            action, shown = RetryAction.RETRY, "A defect of the relay (…); its log has the details."
        rows.append([f"`{kind}`", meaning, shown, WAITS[action], command])
    where = "The reason of a failing or waiting organization shows these texts; `jira_relay_producer_source_errors_total` counts them by kind."
    return _table(
        "Organizations: errors", where, ["kind", "meaning", "text", "tried again", "first command"], rows
    )


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


def _texts(title: str, found: list[tuple[str, str]], lines: Lines, where: str) -> str:
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


if __name__ == "__main__":
    print(page(), end="")  # noqa: T201
