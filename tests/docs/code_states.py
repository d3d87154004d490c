"""The states and error kinds that the code reports, read from its syntax."""

import ast
import inspect
from types import ModuleType

import producer.polling.poller
import producer.status_reporter
from producer.sources.errors import ErrorKind


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


def _literals(node: ast.expr) -> set[str]:
    match node:
        case ast.Constant(value=str(text)):
            return {text}
        case ast.IfExp(body=body, orelse=other):
            return _literals(body) | _literals(other)
    return set()
