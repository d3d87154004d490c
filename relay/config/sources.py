"""Where settings are written: a TOML file and the environment, laid over one another, and remembered for the error messages."""

import difflib
import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from relay.errors import SettingsError

Name = tuple[str, ...]
"""("kafka", "bootstrap"), ("destinations", "sentinel", "rule_id")."""

_PREFIX = "RELAY_"
_ANY = "<name>"
_KEY_REFERENCE = "RELAY_KEY_"  # where references to API keys point, see secrets.py
# Kubernetes sets these in every pod for each service it knows, also for one that is called relay or relay-something.
_KUBERNETES = re.compile(r".*_(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT_[0-9]+_(TCP|UDP|SCTP)(_[A-Z]+)?)")


@dataclass(frozen=True, slots=True)
class Value:
    value: Any
    place: str
    """A variable or a file."""


@dataclass(frozen=True, slots=True)
class Given:
    """All that was written, by name."""

    fields: Mapping[Name, FieldInfo]
    values: Mapping[Name, Value]

    def nested(self) -> dict[str, Any]:
        tree: dict[str, Any] = {}
        for name, given in self.values.items():
            branch = tree
            for part in name[:-1]:
                branch = branch.setdefault(part, {})
            branch[name[-1]] = given.value
        return tree

    def explain(self, error: ValidationError) -> SettingsError:
        """A sentence for each fault; of secrets, and of what could be one, no value."""
        faults = error.errors(include_url=False, include_context=False)
        return SettingsError("\n".join(dict.fromkeys(self._sentence(dict(fault)) for fault in faults)))

    def _sentence(self, fault: dict[str, Any]) -> str:
        name = tuple(str(part) for part in fault["loc"] if isinstance(part, str) and part != "[key]")
        message = fault["msg"].removeprefix("Value error, ").replace("Input should be", "must be")
        message = message.replace("a valid tuple", "a list")
        setting = next((known for known in self.values if known == name[: len(known)]), None)
        if fault["type"] == "missing":
            return f"{dotted(name)} is needed and not set (in the environment: {variable(name)})."
        if setting is None:
            return f"{message}." if fault["type"] == "value_error" else f"{dotted(name)}: {message}."
        return f"{dotted(setting)}{self._shown(setting, fault['input'])} ({self.values[setting].place}): {message}."

    def _shown(self, name: Name, value: Any) -> str:
        field = self.fields[general(name)]
        return f" = {value!r}" if not is_secret(field) and _is_harmless(name, value) else ""


def read(model: type[BaseModel], config: Path | None, environ: Mapping[str, str]) -> Given:
    fields = fields_of(model)
    written = dict(_of_file(fields, config))
    stronger = _of_environment(fields, environ)
    for rival in (rival for name in stronger for rival in _rivals(fields, name)):
        written.pop(rival, None)
    return Given(fields, dict(_with_secret_files(fields, written | stronger)))


def fields_of(model: type[BaseModel]) -> dict[Name, FieldInfo]:
    """Every setting; those of destinations under ("destinations", "<name>", …)."""
    found: dict[Name, FieldInfo] = {}
    for group, field in model.model_fields.items():
        inner: Any = field.annotation
        name: Name = (group,)
        if group == "destinations":
            name, inner = (group, _ANY), get_args(inner)[1]
        found |= {(*name, setting): info for setting, info in inner.model_fields.items()}
    return found


def is_secret(field: FieldInfo) -> bool:
    return "SecretStr" in str(field.annotation)


def is_list(field: FieldInfo) -> bool:
    return str(field.annotation).startswith("tuple[")


def has_file(field: FieldInfo) -> bool:
    """Whether it may be given as `<name>_file` too."""
    return is_secret(field) and not is_list(field)


def dotted(name: Name) -> str:
    return ".".join(name)


def variable(name: Name) -> str:
    return _PREFIX + "__".join(name).upper()


def general(name: Name) -> Name:
    return (name[0], _ANY, *name[2:]) if name[0] == "destinations" else name


def _known(fields: Mapping[Name, FieldInfo]) -> set[Name]:
    return {*fields, *((*name[:-1], f"{name[-1]}_file") for name, field in fields.items() if has_file(field))}


def _rivals(fields: Mapping[Name, FieldInfo], name: Name) -> Iterator[Name]:
    """The other forms of the same setting, which a stronger source replaces."""
    pairs = [
        (known, (*known[:-1], f"{known[-1]}_file")) for known, field in fields.items() if has_file(field)
    ]
    pairs.append((("secrets", "keys"), ("secrets", "key_file")))
    for plain, file in pairs:
        if name in {plain, file}:
            yield from (plain, file)


def _of_environment(fields: Mapping[Name, FieldInfo], environ: Mapping[str, str]) -> dict[Name, Value]:
    known, found = _known(fields), {}
    for key, text in sorted(environ.items()):
        if (
            not key.startswith(_PREFIX)
            or key.startswith(_KEY_REFERENCE)
            or _is_of_kubernetes(key, text)
            or not text
        ):
            continue
        name = tuple(key.removeprefix(_PREFIX).lower().split("__"))
        if general(name) not in known or key != key.upper():
            raise SettingsError(
                _unknown(f"{key} in the environment", key.upper(), map(variable, _spelled(known, name)))
            )
        found[name] = Value(_of_json(fields, name, key, text), key)
    return found


def _is_of_kubernetes(key: str, text: str) -> bool:
    return "__" not in key and (
        _KUBERNETES.fullmatch(key) is not None
        or (key.endswith("_PORT") and text.startswith(("tcp://", "udp://", "sctp://")))
    )


def _of_json(fields: Mapping[Name, FieldInfo], name: Name, key: str, text: str) -> Any:
    field = fields.get(general(name))
    if field is None or not is_list(field):
        return text
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    if not isinstance(value, list):
        raise SettingsError(
            f'{dotted(name)} ({key}): must be a JSON list in the environment, such as ["one", "two"].'
        )
    return value


def _of_file(fields: Mapping[Name, FieldInfo], config: Path | None) -> Iterator[tuple[Name, Value]]:
    path = config or Path("relay.toml")
    if config is None and not path.exists():
        return
    known = _known(fields)
    for name, value in _leaves(fields, _parse(path), path):
        if general(name) not in known:
            candidates = map(dotted, _spelled(known, name))
            raise SettingsError(_unknown(f"{dotted(name)} in {path}", dotted(name), candidates))
        yield name, Value(value, str(path))


def _parse(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise SettingsError(f"The settings file {path} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise SettingsError(f"The settings file {path} is not UTF-8 text.") from error
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"The settings file {path} is not valid TOML: {error}.") from error


def _leaves(fields: Mapping[Name, FieldInfo], tree: dict[str, Any], path: Path) -> Iterator[tuple[Name, Any]]:
    groups = {name[0] for name in fields}
    for group, content in tree.items():
        if group not in groups:
            raise SettingsError(_unknown(f"{group} in {path}", group, iter(groups)))
        for name, value in _table((group,), content, path):
            if group == "destinations":
                yield from _table(name, value, path)
            else:
                yield name, value


def _table(name: Name, content: Any, path: Path) -> Iterator[tuple[Name, Any]]:
    if not isinstance(content, dict):
        raise SettingsError(
            f"{dotted(name)} in {path} must be a table: write [{dotted(name)}] and its settings below."
        )
    yield from (((*name, key), value) for key, value in content.items())


def _with_secret_files(
    fields: Mapping[Name, FieldInfo], written: Mapping[Name, Value]
) -> Iterator[tuple[Name, Value]]:
    for name, given in written.items():
        plain = (*name[:-1], name[-1].removesuffix("_file"))
        if general(name) in fields:
            yield name, given
        elif plain in written:
            raise SettingsError(
                f"{dotted(plain)} and {dotted(name)} are both set ({given.place}): keep one of them."
            )
        else:
            yield plain, Value(_content(name, given), given.place)


def _content(name: Name, given: Value) -> str:
    path = str(given.value)
    try:
        text = Path(path).expanduser().read_text("utf-8")
    except (OSError, ValueError, RuntimeError) as error:
        shown = f" {path}" if _is_harmless(name, path) else ""
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise SettingsError(
            f"{dotted(name)} ({given.place}): the file{shown} cannot be read: {reason}."
        ) from None
    content = text.removesuffix("\n").removesuffix("\r")
    if not content:
        raise SettingsError(f"{dotted(name)} ({given.place}): the file {path} is empty.")
    return content


def _spelled(known: set[Name], name: Name) -> Iterator[Name]:
    own = name[1] if name[0] == "destinations" and len(name) > 2 else "NAME"
    return (tuple(own if part == _ANY else part for part in candidate) for candidate in known)


def _unknown(what: str, name: str, candidates: Iterator[str]) -> str:
    nearest = difflib.get_close_matches(name, sorted(candidates), n=1)
    hint = f"did you mean {nearest[0]}?" if nearest else "docs/settings.md lists them all."
    return f"{what} is no setting: {hint}"


def _is_harmless(name: Name, value: Any) -> bool:
    """Whether a wrong value may be shown: not what could be a secret that was written in the wrong place."""
    if not isinstance(value, str):
        return isinstance(value, int | float)
    if name[-1].endswith("_file") and not value.startswith(("/", ".", "~")):
        return False
    return len(value) <= 80 and not set("@=;\n") & set(value)
