"""Read settings from a TOML file and from the environment, which wins. Each value keeps its source for error messages."""

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
    is_path,
    is_secret,
    is_table,
    known_names,
    setting_fields,
    unknown_setting,
    variable,
)
from relay.config.secret_forms import resolve_secret_forms
from relay.config.setting_value import SettingValue, is_safe_to_show
from relay.errors import SettingsError, sentence

_API_KEY_PREFIX = "RELAY_KEY_"  # variables that hold API keys, see credentials/resolver.py
# Kubernetes sets these in every pod for each service, also for one that is named relay or relay-something.
_KUBERNETES_VARIABLE = re.compile(
    r".*_(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT_[0-9]+_(TCP|UDP|SCTP)(_[A-Z]+)?)"
)


@dataclass(frozen=True, slots=True)
class SettingValues:
    """All values that were written, by path."""

    fields: Mapping[SettingName, FieldInfo]
    values: Mapping[SettingName, SettingValue]

    def to_tree(self) -> dict[str, Any]:
        """Return the values as nested dicts, as a pydantic model takes them."""
        tree: dict[str, Any] = {}
        for name, given in self.values.items():
            branch = tree
            for part in name[:-1]:
                branch = branch.setdefault(part, {})
            branch[name[-1]] = given.resolved
        return tree

    def explain(self, error: ValidationError) -> SettingsError:
        """Return an error with one sentence for each fault. It shows no value that is, or may be, a secret."""
        faults = error.errors(include_url=False, include_context=False)
        return SettingsError("\n".join(dict.fromkeys(self._describe_fault(dict(fault)) for fault in faults)))

    def _describe_fault(self, fault: dict[str, Any]) -> str:
        name = tuple(str(part) for part in fault["loc"] if isinstance(part, str) and part != "[key]")
        if name[0] == "destinations":
            name, fault = _without_kind(name, fault)
        message = fault["msg"].removeprefix("Value error, ").replace("Input should be", "must be")
        message = message.replace("a valid tuple", "a list")
        message = message.replace(
            "Extra inputs are not permitted", "is not a setting of this kind of destination"
        )
        setting = next((known for known in self.values if known == name[: len(known)]), None)
        if fault["type"] == "missing":
            return (
                f"{dotted(name)} is required: set it in the settings file, or as {variable(name)} in the "
                "environment."
            )
        if setting is None:
            # a fault of a whole destination; the rules of all destinations name theirs themselves
            names_itself = fault["type"] == "value_error" and len(name) < 2
            return sentence(message if names_itself else f"{dotted(name)}: {message}")
        example = next(iter(self.fields[generalize(setting)].examples or ()), None)
        if fault["type"] == "string_pattern_mismatch" and isinstance(example, str):
            message = f"must have another form, such as {example!r}"
        entry = self._shown_entry(setting, name)
        shown = f"{dotted(setting)}{entry}{self._shown_value(setting, fault['input'])}"
        return sentence(f"{shown} ({self.values[setting].source}): {message}")

    def _shown_entry(self, setting: SettingName, name: SettingName) -> str:
        """Return the key of the entry of a table that is wrong; empty for other settings."""
        keys, field = name[len(setting) :], self.fields[generalize(setting)]
        shown = bool(keys) and is_table(field) and not is_secret(field) and is_safe_to_show(setting, keys[0])
        return f".{keys[0]}" if shown else ""

    def _shown_value(self, name: SettingName, value: Any) -> str:
        field, written = self.fields[generalize(name)], self.values[name]
        value = value if written.directory is None else written.value
        return f" = {value!r}" if not is_secret(field) and is_safe_to_show(name, value) else ""


def read_settings(model: type[BaseModel], config: Path | None, environ: Mapping[str, str]) -> SettingValues:
    """Read the settings of `model`. Raises SettingsError.

    `config` None: relay.toml in the current directory, if there is one. A relative path in the file starts at the file's
    directory, and one in the environment at the current directory.
    """
    fields = setting_fields(model)
    from_file = dict(_read_file(fields, config))
    from_environment = _read_environment(fields, environ)
    for rival in (rival for name in from_environment for rival in alternatives(fields, name)):
        from_file.pop(rival, None)
    return SettingValues(fields, dict(resolve_secret_forms(fields, from_file | from_environment)))


def _without_kind(name: SettingName, fault: dict[str, Any]) -> tuple[SettingName, dict[str, Any]]:
    """Return name and fault as they would be if every destination were of one kind."""
    if fault["type"] == "union_tag_not_found":
        return (*name, "kind"), {**fault, "type": "missing"}
    if fault["type"] == "union_tag_invalid":
        expected, kind = fault["msg"].rpartition("tags: ")[2], fault["input"]["kind"]
        return (*name, "kind"), {**fault, "msg": f"must be one of {expected}", "input": kind}
    return (*name[:2], *name[3:]), fault


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
        found[name] = SettingValue(_parse_json(fields, name, key, text), key)
    return found


def _is_set_by_kubernetes(key: str, text: str) -> bool:
    return "__" not in key and (
        _KUBERNETES_VARIABLE.fullmatch(key) is not None
        or (key.endswith("_PORT") and text.startswith(("tcp://", "udp://", "sctp://")))
    )


def _parse_json(fields: Mapping[SettingName, FieldInfo], name: SettingName, key: str, text: str) -> Any:
    """Return the list or table that the variable holds as JSON; a variable of another setting is its text."""
    field = fields.get(generalize(name)) or fields.get(
        generalize((*name[:-1], name[-1].removesuffix("_ref")))
    )
    if field is None or not (is_list(field) or is_table(field)):
        return text
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    if is_list(field) and not isinstance(value, list):
        raise SettingsError(
            f'{dotted(name)} ({key}): must be a JSON list in the environment, such as ["one", "two"].'
        )
    if is_table(field) and not isinstance(value, dict):
        raise SettingsError(
            f'{dotted(name)} ({key}): must be a JSON object in the environment, such as {{"name": "value"}}.'
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
        yield name, SettingValue(value, str(path), path.parent if is_path(fields, name) else None)


def _parse_toml(path: Path) -> dict[str, Any]:
    text = ""
    try:
        text = path.read_text("utf-8")
        return tomllib.loads(text)
    except OSError as error:
        raise SettingsError(
            f"The settings file {path} cannot be read: {error.strerror}. Check --config and the file's "
            "permissions."
        ) from error
    except UnicodeDecodeError as error:
        raise SettingsError(f"The settings file {path} is not UTF-8 text: save it as UTF-8.") from error
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(
            f"The settings file {path} is not valid TOML: {error}. {_toml_advice(text, str(error))}"
        ) from error


def _toml_advice(text: str, error: str) -> str:
    """Return what to do about text that is not TOML. Repeats nothing of it: a line may hold a secret."""
    if re.search(r"^\s*(export\s+)?RELAY_[A-Z_]+=", text, re.MULTILINE):
        return (
            "It has lines for the environment (RELAY_…=…): write a table and a name instead, such as [kafka] and"
            ' bootstrap = "HOST:PORT", or set them as variables.'
        )
    if error.startswith("Invalid value"):
        return 'Write texts in quotes (name = "text"), numbers and true or false without.'
    return "Correct it there."


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
            f"{dotted(name)} in {path} must be a table: write [{dotted(name)}], and its settings on the lines "
            "below."
        )
    yield from (((*name, key), value) for key, value in content.items())
