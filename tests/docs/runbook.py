"""Writes the runbook from the states and errors of the code: `python -m tests.docs.runbook > docs/operations/runbook.md`."""

import ast
import inspect
from types import ModuleType

import producer.polling.poller
import relay.kafka.diagnostics.messages
from consumer.assignment import losses
from consumer.delivery import dead_letters, defects, sender
from consumer.destinations.sentinel import client, credentials, response
from producer.sources.errors import _CATALOGUE, ErrorKind, RetryAction

HEAD = """# Runbook

<!-- Written by `python -m tests.docs.runbook` from the states and errors of the code; a test holds it equal. -->

Each section lists the states or errors of one part: the meaning, the text that the relay shows, and the first command.
In a text, a word in capitals and a … are filled in by the relay.

Begin with these two commands:

    jira-relay check                   every connection, with the fix for each that fails
    jira-relay organizations list      the state of every organization, with its reason

The reason is also in the log, in the [metrics](../metrics.md) and, for a process, at `/readyz`.
"""
CHECK, SHOW, TEST = (
    "`jira-relay check`",
    "`jira-relay organizations show NAME`",
    "`jira-relay organizations test NAME`",
)
DEAD_LETTERS, LOG = "`jira-relay dead-letters list`", "the log of the process"

Lines = dict[str, tuple[str, str]]
"""Meaning and first command."""

ORGANIZATION_STATES: Lines = {
    "active": ("Jira answers. A reason names a clock that is wrong.", "none"),
    "waiting": ("Jira asked the relay to come back later; polling resumes by itself.", SHOW),
    "failing": ("Jira gives no records; the reason names the error below. No record is lost.", TEST),
    "paused": ("An operator paused it. Its place is kept.", "`jira-relay organizations resume NAME`"),
    "no owner": (
        "No producer polls it: none runs, or none is ready.",
        "`curl http://127.0.0.1:9464/readyz` on each producer",
    ),
}
PRODUCER_STATES: Lines = {
    "starting": ("The process joins the consumer group.", LOG),
    "opening shards": ("The process loads the state of its shards, or cannot.", LOG),
    "active": ("All shards of the process are open.", "none"),
}
DESTINATION_STATES: Lines = {
    "active": ("The destination accepts events. A reason names a loss or a damaged batch.", "none"),
    "waiting": ("The destination throttles or is away; sending resumes by itself.", CHECK),
    "paused": ("An operator must fix something; the reason says what. No event is lost.", CHECK),
    "starting": (
        "The process joins the consumer group, or looks up where to begin; the reason says which.",
        LOG,
    ),
}
CONSUMER_STATES: Lines = {"active": ("The process runs; its reason names its destinations.", "none")}
SOURCE_ERRORS: Lines = {
    "rate-limited": ("Jira's rate limit is reached.", SHOW),
    "unavailable": ("Jira has a fault.", SHOW),
    "unreachable": ("The connection to Jira fails.", "`curl --head https://HOST`"),
    "broken-answer": ("Something else answers in Jira's place.", "`curl --head https://HOST`"),
    "too-large": ("A page is larger than the relay accepts, or an event larger than Kafka accepts.", SHOW),
    "host-unknown": ("DNS has no such host.", "`getent hosts HOST`"),
    "tls": ("The certificate of the host is not trusted.", "`openssl s_client -connect HOST:443`"),
    "redirected": ("The site moved, or a proxy redirects.", "`curl --head https://HOST`"),
    "not-jira": ("The URL is wrong, or the site is gone.", "`curl --head https://HOST`"),
    "key-refused": ("The API key or its user is wrong.", TEST),
    "scope-missing": ("The API key has too few scopes.", TEST),
    "key-type": ("The credential is not an API token.", TEST),
    "anonymous": ("Jira ignored the API key.", TEST),
    "captcha": ("Too many logins of this user failed.", TEST),
    "not-administrator": ("The user lacks a right.", TEST),
    "free-plan": ("The plan of the site has no audit log.", TEST),
    "forbidden": ("A rule between relay and Jira forbids access.", TEST),
    "bad-request": ("Jira's API changed.", "`jira-relay --version`"),
    "unexpected": ("Jira answered with an unknown status.", TEST),
    "no-key": ("The reference or the encryption of the API key does not work.", CHECK),
    "other-site": ("The URL now belongs to another site.", SHOW),
    "defect": ("The relay has a bug; this organization is tried again, the others go on.", LOG),
}
ANSWERS: Lines = {
    "Expired": ("The token grew old; the request is made again with a new one.", "none"),
    "Sent": ("The rows were accepted.", "none"),
    "Retry": ("The trouble will pass; the same rows are sent again.", CHECK),
    "Split": ("The body is too large; fewer rows are sent.", "none"),
    "Reject": ("A row or the configuration is wrong; the relay finds out which.", DEAD_LETTERS),
    "Paused": ("An operator must fix something.", CHECK),
}
DESTINATION_PROBLEMS: Lines = {
    "_config_fault_text": ("Every row is refused, so the configuration is suspected.", CHECK),
    "_dead_letter_failure_text": ("The dead-letter topic accepts nothing.", "`jira-relay topics check`"),
    "defect_text": ("An exception of the relay's own code; the same events are tried again.", LOG),
    "_loss_text": (
        "Kafka's retention deleted events before they were delivered.",
        "`jira-relay topics check`",
    ),
    "_corrupt_batch_text": (
        "A batch is damaged on a broker's disk, or another client wrote a record that nobody can parse.",
        "`kafka-topics.sh --describe --topic TOPIC`",
    ),
}
KAFKA_ERRORS: Lines = {
    "diagnose_closed": ("The name of the broker has no address.", "`getent hosts HOST`"),
    "_unreachable": ("The broker does not run, or the network is down.", CHECK),
    "_no_answer": ("The broker hangs, or a firewall drops packets.", CHECK),
    "_protocol_mismatch": ("The port speaks another protocol.", "`openssl s_client -connect HOST:PORT`"),
    "_untrusted_certificate": (
        "The certificate of the broker is not accepted.",
        "`openssl s_client -connect HOST:PORT`",
    ),
    "_tls_alert": ("The broker does not accept the TLS of the relay.", CHECK),
    "login_not_expected": ("The listener has no login.", CHECK),
    "mechanism_not_offered": ("The listener has another login.", CHECK),
    "login_rejected": ("User, password or token is wrong.", CHECK),
    "unexpected_login_answer": ("The broker does not prove that it knows the password.", CHECK),
    "closed_after_connect": ("The listener requires a login, or the broker has a fault.", CHECK),
    "wrong_advertised_listener": ("The broker advertises an address that does not work here.", CHECK),
    "unsupported_version": (
        "The broker is too old.",
        "`kafka-broker-api-versions.sh --bootstrap-server HOST:PORT`",
    ),
    "timed_out": ("The broker is overloaded.", CHECK),
}
WAITS = {
    RetryAction.WAIT: "after the delay that Jira asked for",
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
        _answers(),
        _texts("Destinations: troubles", destination_problems(), DESTINATION_PROBLEMS, "The status of the destination shows these reasons."),
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
    """Return every error kind, also those that the poller names."""
    tree = ast.parse(inspect.getsource(producer.polling.poller))
    named = [node for node in ast.walk(tree) if isinstance(node, ast.Assign) and "kind" in _targets(node)]
    return {str(kind) for kind in ErrorKind} | {_first(node.value) for node in named} - {""}


def answers_by_status() -> dict[tuple[str, str], list[int]]:
    """Return the statuses of the Logs Ingestion API by outcome and reason."""
    found: dict[tuple[str, str], list[int]] = {}
    target = response.IngestionTarget("NAME", "RULE", "STREAM")
    for status in range(200, 600):
        outcome = response.classify(response.IngestionResponse(status, {}, b""), target, 0)
        reason = getattr(outcome, "reason", "").replace(str(status), "STATUS")
        name = "Expired" if outcome is response.TOKEN_REFUSED else type(outcome).__name__
        found.setdefault((name, reason), []).append(status)
    return found


def destination_problems() -> list[tuple[str, str]]:
    functions = (
        sender._config_fault_text,
        dead_letters._dead_letter_failure_text,
        defects.defect_text,
        losses._loss_text,
        losses._corrupt_batch_text,
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


def _targets(node: ast.Assign) -> set[str]:
    return {name.id for target in node.targets for name in ast.walk(target) if isinstance(name, ast.Name)}


def _first(node: ast.expr) -> str:
    return "".join(sorted(_literals(node.elts[0] if isinstance(node, ast.Tuple) else node)))


def _states(title: str, lines: Lines, where: str) -> str:
    rows = [[f"`{state}`", *line] for state, line in lines.items()]
    return _table(title, where, ["state", "meaning", "first command"], rows)


def _source_errors() -> str:
    rows = []
    for kind, (meaning, command) in SOURCE_ERRORS.items():
        if kind in set(ErrorKind):
            action, text = _CATALOGUE[ErrorKind(kind)]
            shown = text.format(host="HOST", status="STATUS", quote=" (…)", key_hint="")
        else:
            action, shown = RetryAction.RETRY, "A defect of the relay (…); its log has the details."
        rows.append([f"`{kind}`", meaning, shown, WAITS[action], command])
    where = "The reason of a failing or waiting organization shows these texts; `jira_relay_producer_source_errors_total` counts them by kind."
    return _table(
        "Organizations: errors", where, ["kind", "meaning", "text", "tried again", "first command"], rows
    )


def _answers() -> str:
    rows = [
        [_ranges(statuses), outcome, ANSWERS[outcome][0], reason, ANSWERS[outcome][1]]
        for (outcome, reason), statuses in answers_by_status().items()
    ]
    for module in (client, credentials):
        for outcome in ("Retry", "Paused"):
            rows += [
                ["none", outcome, ANSWERS[outcome][0], text, ANSWERS[outcome][1]]
                for _, text in _calls(module, {outcome})
            ]
    where = "These are the answers of Sentinel's Logs Ingestion API and of its logins. A status of none means that no answer came."
    return _table(
        "Destinations: answers", where, ["status", "outcome", "meaning", "text", "first command"], rows
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
