"""The page docs/settings.md, written from the code: `python -m management.settings_page > docs/settings.md`."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from annotated_types import Ge, Le
from pydantic.fields import FieldInfo

from management.settings import Settings
from relay.config.names import accepts_file, accepts_reference, models_by_kind, variable

_HEAD = """# Settings

<!-- Written by `python -m management.settings_page`; a test compares it with the code. -->

The relay takes each setting from the environment, else from the settings file, else it uses the default.

- The file is TOML: the one named by `--config FILE`, else `relay.toml` in the working directory, if there is one. Groups are
  tables: `[kafka]`, `[destinations.sentinel]`.
- The variable of `kafka.bootstrap` is `RELAY_KAFKA__BOOTSTRAP`: two underscores between group and name. Lists and tables are
  JSON. An empty variable counts as not set.
- A password or a token may be in a file, which the relay reads without its last line break, and again at each use ([rotation](operations/keys.md#rotate-other-secrets)): `sasl_password_file`
  or `RELAY_KAFKA__SASL_PASSWORD_FILE` names the file.
- Every secret may be in a store of secrets: `sasl_password_ref` or `RELAY_KAFKA__SASL_PASSWORD_REF` is a reference, such as
  `azure-key-vault:VAULT/SECRET`, and `headers_ref` a table of them ([secret stores](operations/secret-stores.md)).
- A destination has a name of your choice: `[destinations.sentinel]`, `RELAY_DESTINATIONS__SENTINEL__RULE_ID`.
- An unknown name is an error, which names the nearest known one. Variables that begin with `RELAY_KEY_` are not settings: they
  hold the API keys of organizations that have a reference (`env:RELAY_KEY_ACME`).
- `jira-relay config show` shows each setting in force and its source, and no secret; `jira-relay config check` names every fault
  without a connection.
- Durations are in seconds, fractions allowed.
- A relative path starts at the directory of the file that holds it: of the settings file, or of the file of
  `jira-relay organizations apply`. In the environment, on the command line and on standard input, it starts at the working
  directory.
"""


def render_page() -> str:
    return _HEAD + "".join(_render_sections())


def _render_sections() -> Iterator[str]:
    for group, field in Settings.model_fields.items():
        if group == "destinations":
            for kind, model in models_by_kind(Settings).items():
                yield _render_section(f"destinations.&lt;name&gt;, kind {kind}", (group, "<name>"), model)
        else:
            yield _render_section(group, (group,), field.annotation)


def _render_section(title: str, name: tuple[str, ...], model: Any) -> str:
    fields = sorted(model.model_fields.items(), key=lambda each: generation(model, each[0]))
    rows = "".join(_render_row((*name, setting), field) for setting, field in fields)
    head = "| setting | variable | default | what it does | example |\n|---|---|---|---|---|\n"
    return f"\n## {title}\n\n{model.__doc__}\n\n{head}{rows}"


def generation(model: Any, setting: str) -> int:
    """Return how far from `model` the setting is declared: a kind's own settings come first, then those that others share."""
    declared = (setting in getattr(each, "__annotations__", {}) for each in model.__mro__)
    return list(declared).index(True)


def _render_row(name: tuple[str, ...], field: FieldInfo) -> str:
    forms = [f"`{name[-1]}_file`"] if accepts_file(field) else []
    forms += [f"`{name[-1]}_ref`"] if accepts_reference(name[0], field) else []
    also = f" Or {' or '.join(forms)}." if forms else ""
    sentence = f"{field.description}{_allowed_values(field)}{also}"
    return f"| `{name[-1]}` | `{variable(name)}` | {_default(field)} | {sentence} | {_as_code((field.examples or [''])[0])} |\n"


def _allowed_values(field: FieldInfo) -> str:
    choices = [
        choice for kind in (field.annotation, *get_args(field.annotation)) for choice in _choices(kind)
    ]
    if len(choices) > 1 and not any(choice in (field.description or "") for choice in choices):
        return f" One of {', '.join(map(_as_code, choices))}."
    limits = {type(limit): limit for limit in field.metadata}
    if Ge in limits:
        return f" From {limits[Ge].ge} to {limits[Le].le}."
    return ""


def _choices(kind: Any) -> list[str]:
    return list(get_args(kind)) if get_origin(kind) is Literal else []


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "needed" if field.description and "Not set:" not in field.description else "not set"
    return "not set" if field.default is None else _as_code(field.default)


def _as_code(value: Any) -> str:
    return f"`{json.dumps(value, ensure_ascii=False) if not isinstance(value, str | Path) else value}`"


if __name__ == "__main__":
    sys.stdout.write(render_page())
