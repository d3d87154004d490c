"""Names of settings, as a path, as `group.name` in messages, and as an environment variable."""

import difflib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from relay.config.base import ByKind

SettingName = tuple[str, ...]
"""Path of a setting: ("kafka", "bootstrap"), ("destinations", "sentinel", "rule_id")."""

VARIABLE_PREFIX = "RELAY_"
_ANY_NAME = "<name>"


def setting_fields(model: type[BaseModel]) -> dict[SettingName, FieldInfo]:
    """Return the field of every setting by its path. Those of destinations, of all kinds, are under ("destinations", "<name>", …).

    A setting of several kinds has one variable, so it is a list or a secret in all of them; the contract suite holds it.
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


def is_secret(field: FieldInfo) -> bool:
    """Return whether the value must not be shown."""
    return "SecretStr" in str(field.annotation)


def is_path(fields: Mapping[SettingName, FieldInfo], name: SettingName) -> bool:
    """Return whether the value is the path of a file or directory, as that of each `<name>_file` is."""
    field = fields.get(generalize(name))
    return field is None or "Path" in str(field.annotation)


def is_list(field: FieldInfo) -> bool:
    """Return whether the value is a list."""
    return str(field.annotation).startswith("tuple[")


def is_table(field: FieldInfo) -> bool:
    """Return whether the value is a table of names and values."""
    return str(field.annotation).startswith("dict[")


def accepts_file(field: FieldInfo) -> bool:
    """Return whether the setting may also be given as `<name>_file`, the path of a file that holds the value."""
    return is_secret(field) and not is_list(field) and not is_table(field)


def accepts_reference(group: str, field: FieldInfo) -> bool:
    """Return whether the setting may also be given as `<name>_ref`: references to a store of secrets, in the shape of its values.

    A store's own login cannot be in a store.
    """
    return is_secret(field) and group != "secret_stores"


def dotted(name: SettingName) -> str:
    """Return the name as messages show it: `kafka.bootstrap`."""
    return ".".join(name)


def variable(name: SettingName) -> str:
    """Return the name of the environment variable: `RELAY_KAFKA__BOOTSTRAP`."""
    return VARIABLE_PREFIX + "__".join(name).upper()


def generalize(name: SettingName) -> SettingName:
    """Replace the name of a destination by `<name>`, the key of its fields in `setting_fields`."""
    return (name[0], _ANY_NAME, *name[2:]) if name[0] == "destinations" else name


def known_names(fields: Mapping[SettingName, FieldInfo]) -> set[SettingName]:
    """Return every accepted path, those that end in `_file` and `_ref` included."""
    return {form for name, field in fields.items() for form in _forms(name, field)}


def alternatives(fields: Mapping[SettingName, FieldInfo], name: SettingName) -> Iterator[SettingName]:
    """Yield all forms of the same setting. A value from the environment replaces each of them in the file."""
    for known, field in fields.items():
        forms = _forms(_named_like(known, name), field)
        if name in forms:
            yield from forms


def _named_like(known: SettingName, name: SettingName) -> SettingName:
    """Return the path `known` with the destination of `name` in place of `<name>`."""
    return (known[0], name[1], *known[2:]) if known[1:2] == (_ANY_NAME,) and len(name) > 1 else known


def _forms(name: SettingName, field: FieldInfo) -> list[SettingName]:
    """Return the accepted paths of one setting: its own, that of a file, and that of a reference."""
    forms = [name]
    if accepts_file(field):
        forms.append((*name[:-1], f"{name[-1]}_file"))
    if name == ("secrets", "keys"):
        forms.append(("secrets", "key_file"))
    if accepts_reference(name[0], field):
        forms.append((*name[:-1], f"{name[-1]}_ref"))
    return forms


def candidate_names(known: set[SettingName], name: SettingName) -> Iterator[SettingName]:
    """Yield the known paths, as suggestions for `name`: its destination's name replaces `<name>`."""
    own = name[1] if name[0] == "destinations" and len(name) > 2 else "NAME"
    return (tuple(own if part == _ANY_NAME else part for part in candidate) for candidate in known)


def unknown_setting(label: str, name: str, candidates: Iterator[str]) -> str:
    """Return the sentence for an unknown setting `label`, with the candidate nearest to `name`."""
    nearest = _nearest(name, sorted(candidates))
    hint = f"did you mean {nearest[0]}?" if nearest else "see docs/settings.md for all settings."
    return f"{label} is not a setting: {hint}"


def _nearest(name: str, candidates: Sequence[str]) -> Sequence[str]:
    """Return the candidate nearest to `name`, if any is near: of the same group, which must not count as likeness."""
    group = name[: max(name.rfind("__") + 2, name.rfind(".") + 1)]
    same = {each[len(group) :]: each for each in candidates if group and each.startswith(group)}
    if not same:
        return difflib.get_close_matches(name, candidates, n=1)
    return [same[each] for each in difflib.get_close_matches(name[len(group) :], same, n=1)]
