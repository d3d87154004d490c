"""Names of settings: as a path, as `group.name` in messages, and as a variable of the environment."""

import difflib
from collections.abc import Iterator, Mapping
from typing import Any, get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo

SettingName = tuple[str, ...]
"""("kafka", "bootstrap"), ("destinations", "sentinel", "rule_id")."""

VARIABLE_PREFIX = "RELAY_"
_ANY_NAME = "<name>"


def setting_fields(model: type[BaseModel]) -> dict[SettingName, FieldInfo]:
    """Every setting; those of destinations under ("destinations", "<name>", …)."""
    found: dict[SettingName, FieldInfo] = {}
    for group, field in model.model_fields.items():
        inner: Any = field.annotation
        name: SettingName = (group,)
        if group == "destinations":
            name, inner = (group, _ANY_NAME), get_args(inner)[1]
        found |= {(*name, setting): info for setting, info in inner.model_fields.items()}
    return found


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
    return VARIABLE_PREFIX + "__".join(name).upper()


def generalize(name: SettingName) -> SettingName:
    return (name[0], _ANY_NAME, *name[2:]) if name[0] == "destinations" else name


def known_names(fields: Mapping[SettingName, FieldInfo]) -> set[SettingName]:
    return {
        *fields,
        *((*name[:-1], f"{name[-1]}_file") for name, field in fields.items() if accepts_file(field)),
    }


def alternatives(fields: Mapping[SettingName, FieldInfo], name: SettingName) -> Iterator[SettingName]:
    """The other forms of the same setting, which a stronger source replaces."""
    pairs = [
        (known, (*known[:-1], f"{known[-1]}_file")) for known, field in fields.items() if accepts_file(field)
    ]
    pairs.append((("secrets", "keys"), ("secrets", "key_file")))
    for plain, file in pairs:
        if name in {plain, file}:
            yield from (plain, file)


def candidate_names(known: set[SettingName], name: SettingName) -> Iterator[SettingName]:
    own = name[1] if name[0] == "destinations" and len(name) > 2 else "NAME"
    return (tuple(own if part == _ANY_NAME else part for part in candidate) for candidate in known)


def unknown_setting(what: str, name: str, candidates: Iterator[str]) -> str:
    nearest = difflib.get_close_matches(name, sorted(candidates), n=1)
    hint = f"did you mean {nearest[0]}?" if nearest else "docs/settings.md lists them all."
    return f"{what} is no setting: {hint}"
