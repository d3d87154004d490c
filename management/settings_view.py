"""The settings in force, each with its source, as TOML. Secrets are never shown."""

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from management.settings import Settings
from relay.config.names import SettingName, dotted, generalize, is_secret, setting_fields, variable
from relay.config.sources import SettingValues

DEFAULT = "default"
HIDDEN = "set, and not shown"
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)


@dataclass(frozen=True, slots=True)
class SettingView:
    """A setting in force. `source`: a variable, a file or `default`. `value`: as JSON has it; None: not set, or a secret."""

    name: SettingName
    value: Any
    source: str
    secret: bool
    present: bool

    def document(self) -> dict[str, Any]:
        """Return the JSON document."""
        return {
            "setting": dotted(self.name),
            "variable": variable(self.name),
            "value": self.value,
            "secret": self.secret,
            "set": self.present,
            "source": self.source,
        }

    def line(self) -> str:
        """Return `name = value  # source`, or a comment for a secret and for a setting without a value."""
        key = self.name[-1]
        if not self.present:
            return f"# {key}: not set"
        if self.secret:
            return f"# {key}: {HIDDEN}  # {self.source}"
        return f"{key} = {_as_toml(self.value)}  # {self.source}"


def setting_views(settings: Settings, given: SettingValues) -> Iterator[SettingView]:
    """Yield every setting in force, those of destinations by name. `given`: the values that the settings were made of. Pure."""
    fields = setting_fields(Settings)
    for name, model, key in _places(settings):
        field = fields[generalize(name)]
        secret, value = is_secret(field), getattr(model, key)
        written = given.values.get(name)
        shown = None if secret else model.model_dump(mode="json", include={key})[key]
        source = DEFAULT if written is None else written.source
        yield SettingView(name, shown, source, secret, bool(value) if secret else value is not None)


def _places(settings: Settings) -> Iterator[tuple[SettingName, BaseModel, str]]:
    """Yield the path of each setting, and the model and the field that hold its value."""
    groups: list[tuple[SettingName, Any]] = []
    for group in Settings.model_fields:
        if group == "destinations":
            groups += [((group, name), each) for name, each in settings.destinations.items()]
        else:
            groups.append(((group,), getattr(settings, group)))
    for path, model in groups:
        yield from (((*path, key), model, key) for key in type(model).model_fields)


def render_toml(views: Iterable[SettingView]) -> Iterator[str]:
    """Yield the lines of the views: a table for each group, and each setting on a line with its source."""
    table: SettingName = ()
    for view in views:
        if view.name[:-1] != table:
            if table:
                yield ""
            table = view.name[:-1]
            yield f"[{'.'.join(map(_key, table))}]"
        yield view.line()


def _key(text: str) -> str:
    return text if _BARE_KEY.fullmatch(text) else json.dumps(text, ensure_ascii=False)


def _as_toml(value: Any) -> str:
    """Return the TOML of a value as JSON has it. Texts of JSON are texts of TOML, but for the character DEL."""
    match value:
        case dict():
            inner = ", ".join(f"{_key(name)} = {_as_toml(each)}" for name, each in value.items())
            return f"{{ {inner} }}" if inner else "{}"
        case list():
            return f"[{', '.join(map(_as_toml, value))}]"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
