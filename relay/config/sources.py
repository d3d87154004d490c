"""Where settings are written: a TOML file and the environment, laid over one another, and remembered for the error messages."""

import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from relay.config.names import (
    VARIABLE_PREFIX,
    SettingName,
    alternatives,
    candidate_names,
    dotted,
    generalize,
    is_list,
    is_secret,
    known_names,
    setting_fields,
    unknown_setting,
    variable,
)
from relay.errors import SettingsError

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
        message = fault["msg"].removeprefix("Value error, ").replace("Input should be", "must be")
        message = message.replace("a valid tuple", "a list")
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
    for rival in (rival for name in from_environment for rival in alternatives(fields, name)):
        from_file.pop(rival, None)
    return SettingValues(fields, dict(_resolve_secret_files(fields, from_file | from_environment)))


def _read_environment(
    fields: Mapping[SettingName, FieldInfo], environ: Mapping[str, str]
) -> dict[SettingName, SettingValue]:
    known, found = known_names(fields), {}
    for key, text in sorted(environ.items()):
        if (
            not key.startswith(VARIABLE_PREFIX)
            or key.startswith(_API_KEY_PREFIX)
            or _is_set_by_kubernetes(key, text)
            or not text
        ):
            continue
        name = tuple(key.removeprefix(VARIABLE_PREFIX).lower().split("__"))
        if generalize(name) not in known or key != key.upper():
            raise SettingsError(
                unknown_setting(
                    f"{key} in the environment", key.upper(), map(variable, candidate_names(known, name))
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
    known = known_names(fields)
    for name, value in _flatten(fields, _parse_toml(path), path):
        if generalize(name) not in known:
            candidates = map(dotted, candidate_names(known, name))
            raise SettingsError(unknown_setting(f"{dotted(name)} in {path}", dotted(name), candidates))
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
            raise SettingsError(unknown_setting(f"{group} in {path}", group, iter(groups)))
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


def _is_safe_to_show(name: SettingName, value: Any) -> bool:
    """Whether a wrong value may be shown: not what could be a secret that was written in the wrong place."""
    if not isinstance(value, str):
        return isinstance(value, int | float)
    if name[-1].endswith("_file") and not value.startswith(("/", ".", "~")):
        return False
    return len(value) <= 80 and not set("@=;\n") & set(value)
