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

from relay.config.base import ByKind
from relay.errors import SettingsError

SettingName = tuple[str, ...]
"""("kafka", "bootstrap"), ("destinations", "sentinel", "rule_id")."""

_PREFIX = "RELAY_"
_ANY_NAME = "<name>"
_API_KEY_PREFIX = "RELAY_KEY_"  # where references to API keys point, see secrets.py
# Kubernetes sets these in every pod for each service it knows, also for one that is called relay or relay-something.
_KUBERNETES_VARIABLE = re.compile(
    r".*_(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT_[0-9]+_(TCP|UDP|SCTP)(_[A-Z]+)?)"
)


@dataclass(frozen=True, slots=True)
class SettingValue:
    value: Any
    source: str
    """A variable or a file."""


@dataclass(frozen=True, slots=True)
class SettingValues:
    """All that was written, by name."""

    fields: Mapping[SettingName, FieldInfo]
    values: Mapping[SettingName, SettingValue]

    def to_tree(self) -> dict[str, Any]:
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
        return SettingsError("\n".join(dict.fromkeys(self._describe_fault(dict(fault)) for fault in faults)))

    def _describe_fault(self, fault: dict[str, Any]) -> str:
        name = tuple(str(part) for part in fault["loc"] if isinstance(part, str) and part != "[key]")
        if name[0] == "destinations":
            name, fault = _without_kind(name, fault)
        message = fault["msg"].removeprefix("Value error, ").replace("Input should be", "must be")
        message = message.replace("a valid tuple", "a list")
        message = message.replace(
            "Extra inputs are not permitted", "is no setting of this kind of destination"
        )
        setting = next((known for known in self.values if known == name[: len(known)]), None)
        if fault["type"] == "missing":
            return f"{dotted(name)} is needed and not set (in the environment: {variable(name)})."
        if setting is None:
            return f"{message}." if fault["type"] == "value_error" else f"{dotted(name)}: {message}."
        return f"{dotted(setting)}{self._shown_value(setting, fault['input'])} ({self.values[setting].source}): {message}."

    def _shown_value(self, name: SettingName, value: Any) -> str:
        field = self.fields[generalize(name)]
        return f" = {value!r}" if not is_secret(field) and _is_safe_to_show(name, value) else ""


def read_settings(model: type[BaseModel], config: Path | None, environ: Mapping[str, str]) -> SettingValues:
    fields = setting_fields(model)
    from_file = dict(_read_file(fields, config))
    from_environment = _read_environment(fields, environ)
    for rival in (rival for name in from_environment for rival in _alternatives(fields, name)):
        from_file.pop(rival, None)
    return SettingValues(fields, dict(_resolve_secret_files(fields, from_file | from_environment)))


def setting_fields(model: type[BaseModel]) -> dict[SettingName, FieldInfo]:
    """Return every setting; those of destinations, of all kinds, under ("destinations", "<name>", …).

    A setting of several kinds has one place in the environment, so it is a list or a secret in all of them; tests hold it.
    """
    found: dict[SettingName, FieldInfo] = {}
    for group, field in model.model_fields.items():
        if group == "destinations":
            for kind in models_by_kind(model).values():
                found = {(group, _ANY_NAME, name): info for name, info in kind.model_fields.items()} | found
        else:
            inner: Any = field.annotation
            found |= {(group, name): info for name, info in inner.model_fields.items()}
    return found


def models_by_kind(model: type[BaseModel]) -> Mapping[str, type[BaseModel]]:
    """Return the settings of each kind of destination."""
    _, marked = get_args(model.model_fields["destinations"].annotation)
    by_kind: ByKind = get_args(marked)[1]
    return by_kind.models()


def _without_kind(name: SettingName, fault: dict[str, Any]) -> tuple[SettingName, dict[str, Any]]:
    """Return name and fault as they would be if every destination were of one kind."""
    if fault["type"] == "union_tag_not_found":
        return (*name, "kind"), {**fault, "type": "missing"}
    if fault["type"] == "union_tag_invalid":
        expected = fault["msg"].rpartition("tags: ")[2]
        return (*name, "kind"), {
            **fault,
            "msg": f"must be one of {expected}",
            "input": fault["input"]["kind"],
        }
    return (*name[:2], *name[3:]), fault


def is_secret(field: FieldInfo) -> bool:
    return "SecretStr" in str(field.annotation)


def is_list(field: FieldInfo) -> bool:
    return str(field.annotation).startswith("tuple[")


def accepts_file(field: FieldInfo) -> bool:
    """Whether it may be given as `<name>_file` too."""
    return is_secret(field) and not is_list(field)


def dotted(name: SettingName) -> str:
    return ".".join(name)


def variable(name: SettingName) -> str:
    return _PREFIX + "__".join(name).upper()


def generalize(name: SettingName) -> SettingName:
    return (name[0], _ANY_NAME, *name[2:]) if name[0] == "destinations" else name


def _known_names(fields: Mapping[SettingName, FieldInfo]) -> set[SettingName]:
    return {
        *fields,
        *((*name[:-1], f"{name[-1]}_file") for name, field in fields.items() if accepts_file(field)),
    }


def _alternatives(fields: Mapping[SettingName, FieldInfo], name: SettingName) -> Iterator[SettingName]:
    """The other forms of the same setting, which a stronger source replaces."""
    pairs = [
        (known, (*known[:-1], f"{known[-1]}_file")) for known, field in fields.items() if accepts_file(field)
    ]
    pairs.append((("secrets", "keys"), ("secrets", "key_file")))
    for plain, file in pairs:
        if name in {plain, file}:
            yield from (plain, file)


def _read_environment(
    fields: Mapping[SettingName, FieldInfo], environ: Mapping[str, str]
) -> dict[SettingName, SettingValue]:
    known, found = _known_names(fields), {}
    for key, text in sorted(environ.items()):
        if (
            not key.startswith(_PREFIX)
            or key.startswith(_API_KEY_PREFIX)
            or _is_set_by_kubernetes(key, text)
            or not text
        ):
            continue
        name = tuple(key.removeprefix(_PREFIX).lower().split("__"))
        if generalize(name) not in known or key != key.upper():
            raise SettingsError(
                _unknown_setting(
                    f"{key} in the environment", key.upper(), map(variable, _candidate_names(known, name))
                )
            )
        found[name] = SettingValue(_parse_list(fields, name, key, text), key)
    return found


def _is_set_by_kubernetes(key: str, text: str) -> bool:
    return "__" not in key and (
        _KUBERNETES_VARIABLE.fullmatch(key) is not None
        or (key.endswith("_PORT") and text.startswith(("tcp://", "udp://", "sctp://")))
    )


def _parse_list(fields: Mapping[SettingName, FieldInfo], name: SettingName, key: str, text: str) -> Any:
    field = fields.get(generalize(name))
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


def _read_file(
    fields: Mapping[SettingName, FieldInfo], config: Path | None
) -> Iterator[tuple[SettingName, SettingValue]]:
    path = config or Path("relay.toml")
    if config is None and not path.exists():
        return
    known = _known_names(fields)
    for name, value in _flatten(fields, _parse_toml(path), path):
        if generalize(name) not in known:
            candidates = map(dotted, _candidate_names(known, name))
            raise SettingsError(_unknown_setting(f"{dotted(name)} in {path}", dotted(name), candidates))
        yield name, SettingValue(value, str(path))


def _parse_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise SettingsError(f"The settings file {path} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise SettingsError(f"The settings file {path} is not UTF-8 text.") from error
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"The settings file {path} is not valid TOML: {error}.") from error


def _flatten(
    fields: Mapping[SettingName, FieldInfo], tree: dict[str, Any], path: Path
) -> Iterator[tuple[SettingName, Any]]:
    groups = {name[0] for name in fields}
    for group, content in tree.items():
        if group not in groups:
            raise SettingsError(_unknown_setting(f"{group} in {path}", group, iter(groups)))
        for name, value in _table_entries((group,), content, path):
            if group == "destinations":
                yield from _table_entries(name, value, path)
            else:
                yield name, value


def _table_entries(name: SettingName, content: Any, path: Path) -> Iterator[tuple[SettingName, Any]]:
    if not isinstance(content, dict):
        raise SettingsError(
            f"{dotted(name)} in {path} must be a table: write [{dotted(name)}] and its settings below."
        )
    yield from (((*name, key), value) for key, value in content.items())


def _resolve_secret_files(
    fields: Mapping[SettingName, FieldInfo], written: Mapping[SettingName, SettingValue]
) -> Iterator[tuple[SettingName, SettingValue]]:
    for name, given in written.items():
        plain = (*name[:-1], name[-1].removesuffix("_file"))
        if generalize(name) in fields:
            yield name, given
        elif plain in written:
            raise SettingsError(
                f"{dotted(plain)} and {dotted(name)} are both set ({given.source}): keep one of them."
            )
        else:
            yield plain, SettingValue(_read_secret_file(name, given), given.source)


def _read_secret_file(name: SettingName, given: SettingValue) -> str:
    path = str(given.value)
    try:
        text = Path(path).expanduser().read_text("utf-8")
    except (OSError, ValueError, RuntimeError) as error:
        shown = f" {path}" if _is_safe_to_show(name, path) else ""
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise SettingsError(
            f"{dotted(name)} ({given.source}): the file{shown} cannot be read: {reason}."
        ) from None
    content = text.removesuffix("\n").removesuffix("\r")
    if not content:
        raise SettingsError(f"{dotted(name)} ({given.source}): the file {path} is empty.")
    return content


def _candidate_names(known: set[SettingName], name: SettingName) -> Iterator[SettingName]:
    own = name[1] if name[0] == "destinations" and len(name) > 2 else "NAME"
    return (tuple(own if part == _ANY_NAME else part for part in candidate) for candidate in known)


def _unknown_setting(what: str, name: str, candidates: Iterator[str]) -> str:
    nearest = difflib.get_close_matches(name, sorted(candidates), n=1)
    hint = f"did you mean {nearest[0]}?" if nearest else "docs/settings.md lists them all."
    return f"{what} is no setting: {hint}"


def _is_safe_to_show(name: SettingName, value: Any) -> bool:
    """Whether a wrong value may be shown: not what could be a secret that was written in the wrong place."""
    if not isinstance(value, str):
        return isinstance(value, int | float)
    if name[-1].endswith("_file") and not value.startswith(("/", ".", "~")):
        return False
    return len(value) <= 80 and not set("@=;\n") & set(value)
