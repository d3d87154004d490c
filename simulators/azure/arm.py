"""The part of Azure Resource Manager that the relay's template needs, so that the simulator deploys the real template."""

import json
import re
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

SUBSCRIPTION = "/subscriptions/00000000-0000-0000-0000-000000000000"
RESOURCE_GROUP = f"{SUBSCRIPTION}/resourceGroups/sandbox"
LOCATION = "westeurope"

_TOKEN = re.compile(r"\s*(?:'((?:[^']|'')*)'|([A-Za-z_]\w*)|([()\[\].,]))")

Expression: TypeAlias = Callable[[], Any]


class DeploymentError(Exception):
    """Azure would refuse the template. The message begins with Azure's error code, if it has one."""


@dataclass(frozen=True, slots=True)
class Resource:
    """A resource of a deployed template, with every expression evaluated."""

    id: str
    type: str
    name: str
    scope: str | None
    depends_on: frozenset[str]
    """Ids of the resources to be created first, also of those that their condition leaves out."""
    body: Mapping[str, Any]


def load_template() -> dict[str, Any]:
    """Load the relay's template, which is beside this file in a wheel and in `deploy/` in the repository."""
    shipped = Path(__file__).with_name("azuredeploy.json")
    path = shipped if shipped.exists() else Path(__file__).parents[2] / "deploy/azure/azuredeploy.json"
    loaded: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return loaded


class Deployment:
    """A template with its parameters. `states` has the result of `reference()` by resource id.

    Raises DeploymentError for an unknown parameter, a missing one, and a value that is not allowed.
    """

    def __init__(
        self,
        text: Mapping[str, Any],
        parameters: Mapping[str, Any],
        states: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:
        self._text = text
        self._parameters = parameters
        self._resource_states = states or {}
        self._check_parameters()

    def resources(self) -> list[Resource]:
        """Return the resources whose condition holds. Raises DeploymentError when an expression is invalid."""
        return [
            self._resource(entry)
            for entry in self._text["resources"]
            if self.evaluate(entry.get("condition", True))
        ]

    def outputs(self) -> dict[str, Any]:
        """Return the outputs of the template whose condition holds, by name."""
        return {
            name: self.evaluate(output["value"])
            for name, output in self._text["outputs"].items()
            if self.evaluate(output.get("condition", True))
        }

    def evaluate(self, node: Any) -> Any:
        """Return a part of the template with every expression in it evaluated."""
        if isinstance(node, dict):
            return {name: self.evaluate(member) for name, member in node.items()}
        if isinstance(node, list):
            return [self.evaluate(member) for member in node]
        if isinstance(node, str) and node.startswith("[["):
            return node[1:]
        if isinstance(node, str) and node.startswith("[") and node.endswith("]"):
            return _Parser(node[1:-1], self._functions()).parse()()
        return node

    def _check_parameters(self) -> None:
        declared = self._text["parameters"]
        if unknown := set(self._parameters) - set(declared):
            raise DeploymentError(f"InvalidTemplate: no such parameters: {sorted(unknown)}")
        for name, declaration in declared.items():
            value = self._parameter(name)
            allowed = declaration.get("allowedValues", [value])
            if value not in allowed:
                raise DeploymentError(f"InvalidTemplate: {name} is {value!r}, allowed are {allowed}")
            if type(value) is not {"string": str, "bool": bool, "array": list}[declaration["type"]]:
                raise DeploymentError(f"InvalidTemplate: {name} must be a {declaration['type']}")

    def _parameter(self, name: str) -> Any:
        if name in self._parameters:
            return self._parameters[name]
        try:
            return self.evaluate(self._text["parameters"][name]["defaultValue"])
        except KeyError:
            raise DeploymentError(f"InvalidTemplate: the parameter {name} has no value") from None

    def _resource(self, entry: Mapping[str, Any]) -> Resource:
        name = self.evaluate(entry["name"])
        return Resource(
            id=resource_id(entry["type"], *name.split("/")),
            type=entry["type"],
            name=name,
            scope=self.evaluate(entry.get("scope")),
            depends_on=frozenset(self.evaluate(entry.get("dependsOn", []))),
            body=self.evaluate(entry),
        )

    def _functions(self) -> dict[str, Callable[..., Any]]:
        """Return the template functions by name, except `if`, which evaluates only one of its branches."""
        return {
            "parameters": self._parameter,
            "variables": lambda name: self.evaluate(self._text["variables"][name]),
            "reference": self._reference,
            "concat": _concat,
            "union": _union,
            "and": lambda *values: all(values),
            "equals": lambda one, other: bool(one == other),
            "empty": lambda value: not value,
            "not": lambda value: not value,
            "null": lambda: None,
            "replace": lambda text, old, new: text.replace(old, new),
            "string": lambda value: json.dumps(value, ensure_ascii=False, separators=(",", ":")),
            "guid": lambda *parts: str(uuid.uuid5(uuid.NAMESPACE_URL, "-".join(parts))),
            "resourceId": resource_id,
            "subscriptionResourceId": lambda kind, name: f"{SUBSCRIPTION}/providers/{kind}/{name}",
            "resourceGroup": lambda: {"id": RESOURCE_GROUP, "location": LOCATION},
        }

    def _reference(self, resource: str, _version: str) -> Mapping[str, Any]:
        try:
            return self._resource_states[resource]
        except KeyError:
            raise DeploymentError(f"ResourceNotFound: {resource}") from None


def _concat(*parts: Any) -> Any:
    if all(isinstance(part, list) for part in parts):
        return [member for part in parts for member in part]
    if all(isinstance(part, str) for part in parts):
        return "".join(parts)
    raise DeploymentError("InvalidTemplate: concat takes strings alone or arrays alone")


def _union(*parts: Any) -> dict[str, Any]:
    """Return the members of all objects. A name in two of them is refused: Azure would merge their values."""
    if not all(isinstance(part, dict) for part in parts):
        raise DeploymentError("InvalidTemplate: the simulator unites objects alone")
    united = {name: value for part in parts for name, value in part.items()}
    if len(united) < sum(map(len, parts)):
        raise DeploymentError("InvalidTemplate: the simulator unites no objects with a name in common")
    return united


def resource_id(kind: str, *names: str) -> str:
    """Return the id of a resource in the simulated resource group."""
    provider, *types = kind.split("/")
    path = "/".join(f"{part}/{name}" for part, name in zip(types, names, strict=True))
    return f"{RESOURCE_GROUP}/providers/{provider}/{path}"


class _Parser:
    """Parses the template language: calls, strings, `.member` and `[index]`."""

    def __init__(self, text: str, functions: Mapping[str, Callable[..., Any]]) -> None:
        self._functions = functions
        self._tokens = list(_tokenize(text))

    def parse(self) -> Expression:
        expression = self._expression()
        if self._tokens:
            raise DeploymentError(f"InvalidTemplate: unexpected {self._tokens[0][1]!r}")
        return expression

    def _expression(self) -> Expression:
        kind, text = self._take()
        if kind == "string":
            return lambda: text
        expression = self._call(text)
        while self._peek() in {".", "["}:
            expression = self._access(expression)
        return expression

    def _call(self, name: str) -> Expression:
        arguments = self._arguments()
        if name == "if":
            condition, then, otherwise = arguments
            return lambda: then() if condition() else otherwise()
        if name not in self._functions:
            raise DeploymentError(f"InvalidTemplate: the simulator does not know {name}()")
        function = self._functions[name]
        return lambda: function(*(argument() for argument in arguments))

    def _arguments(self) -> list[Expression]:
        self._expect("(")
        arguments: list[Expression] = []
        while self._peek() != ")":
            if arguments:
                self._expect(",")
            arguments.append(self._expression())
        self._expect(")")
        return arguments

    def _access(self, base: Expression) -> Expression:
        if self._take()[1] == ".":
            member = self._take()[1]
            return lambda: base()[member]
        index = self._expression()
        self._expect("]")
        return lambda: base()[index()]

    def _peek(self) -> str:
        return self._tokens[0][1] if self._tokens and self._tokens[0][0] == "sign" else ""

    def _take(self) -> tuple[str, str]:
        if not self._tokens:
            raise DeploymentError("InvalidTemplate: an expression ends too early")
        return self._tokens.pop(0)

    def _expect(self, sign: str) -> None:
        if self._take() != ("sign", sign):
            raise DeploymentError(f"InvalidTemplate: {sign!r} expected")


def _tokenize(text: str) -> list[tuple[str, str]]:
    tokens, at = [], 0
    while text[at:].strip():
        match = _TOKEN.match(text, at)
        if match is None:
            raise DeploymentError(f"InvalidTemplate: cannot read {text[at:]!r}")
        kind = ("string", "name", "sign")[match.lastindex - 1 if match.lastindex else 0]
        tokens.append((kind, match[match.lastindex or 0].replace("''", "'")))
        at = match.end()
    return tokens
