"""The errors of the code, read from its syntax: messages and answers."""

import ast
import importlib
import inspect
import pkgutil
from collections.abc import Sequence
from types import ModuleType

import relay.kafka.diagnostics.messages
from consumer import older_events
from consumer.assignment import losses, schema_hold, start_offset_texts
from consumer.delivery import dead_letters, defects
from consumer.destinations.contract import AnyKind
from consumer.losses import lost_range
from consumer.targets import guard

_PROBLEMS: Sequence[tuple[ModuleType, str]] = (
    (defects, "config_fault_text"),
    (dead_letters, "_dead_letter_failure_text"),
    (defects, "open_rejections_text"),
    (defects, "defect_text"),
    (defects, "dropped_text"),
    (defects, "filter_fault_text"),
    (lost_range, "loss_text"),
    (losses, "_corrupt_batch_text"),
    (schema_hold, "_doubt_text"),
    (start_offset_texts, "moved_text"),
    (start_offset_texts, "reread_text"),
    (start_offset_texts, "unproven_text"),
    (start_offset_texts, "split_offset_unknown_text"),
    (older_events, "not_sent_text"),
    (guard, "_another_target_text"),
    (guard, "_unknown_text"),
    (guard, "_paused_text"),
    (guard, "_pause_unknown_text"),
)
"""Module and function of each reason that a destination's status shows."""


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
    """Return outcome and text of each request that had no answer: the modules of the kind that build outcomes.

    Those of response.py are among the answers with a status, unless the peer has none.
    """
    found: list[tuple[str, str]] = []
    for package in _packages(kind):
        for each in sorted(each.name for each in pkgutil.iter_modules(package.__path__)):
            if each != "response" or kind.classify_status is None:
                module = importlib.import_module(f"{package.__name__}.{each}")
                found += [(name, text) for name in ("Retry", "Paused") for _, text in _calls(module, {name})]
    return found


def _packages(kind: AnyKind) -> list[ModuleType]:
    """Return the folder of a kind, and the folder that it shares its answers with."""
    owners = [kind.config, *([kind.classify_status] if kind.classify_status else [])]
    names = dict.fromkeys(owner.__module__.rpartition(".")[0] for owner in owners)
    return [importlib.import_module(name) for name in names]


def destination_problems() -> list[tuple[str, str]]:
    """Return function and text of each reason of a destination's status."""
    return [(name, _returned(module, name)) for module, name in _PROBLEMS]


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


def _returned(module: ModuleType, name: str) -> str:
    """Return the text that a function of the module returns."""
    functions = ast.walk(ast.parse(inspect.getsource(module)))
    function = next(each for each in functions if isinstance(each, ast.FunctionDef) and each.name == name)
    return next(_text(node.value) for node in ast.walk(function) if isinstance(node, ast.Return))


def _text(node: ast.expr | None) -> str:
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=values):
            return "".join(_text(value) for value in values).replace("……", "…")
    return "…"  # filled in at run time
