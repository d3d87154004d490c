"""Writes the settings file with every setting: `python -m tests.docs.full_example > examples/relay-full.toml`."""

import json
import re
from pathlib import Path

from management.settings import Settings
from management.settings_page import generation
from relay.config.names import accepts_file, models_by_kind

NEEDED = {"splunk": ["token"]}
"""Settings without which a kind refuses its table, though the field alone is optional."""

HEAD = """\
# Every setting of the relay. `python -m tests.docs.full_example` writes this file; a test compares it with the code.
#
# A line without # is in force with its default, or it is needed. A line with # shows an example of a setting that is not set.
# Keep the lines that you change, and one table for each destination that you have; the variable of kafka.bootstrap is
# RELAY_KAFKA__BOOTSTRAP. Check the result with `jira-relay --config FILE config check`.
"""


def render_file():
    """Return the file."""
    return HEAD + "".join(_render_tables())


def _render_tables():
    for group, field in Settings.model_fields.items():
        if group != "destinations":
            yield _render_table(group, field.annotation, frozenset())
            continue
        for kind, model in models_by_kind(Settings).items():
            name = kind.replace("-", "_")
            needed = {*NEEDED.get(kind, ()), *(("kind",) if name != kind else ())}
            yield _render_table(f"destinations.{name}", model, needed)


def _render_table(name, model, needed):
    title = " ".join((model.__doc__ or "").split())
    fields = sorted(model.model_fields.items(), key=lambda each: generation(model, each[0]))
    settings = "".join(_render_setting(*each, needed=each[0] in needed) for each in fields)
    return f"\n\n# {title}\n[{name}]\n{settings}"


def _render_setting(name, field, *, needed):
    """Return the comment and the line of one setting. A link of the description stays as its text."""
    comment = re.sub(r"\[([^\]]+)\]\([^)]+\)", r"\1", field.description)
    example = (field.examples or [""])[0]
    if needed or (field.is_required() and name != "kind"):
        line = f"{name} = {as_toml(example)}"
    elif name == "kind" or field.default is None or accepts_file(field):
        line = f"# {name} = {as_toml(example)}"
    else:
        line = f"{name} = {as_toml(field.default)}"
    return f"\n# {comment}\n{line}\n"


def as_toml(value):
    """Return a default or an example as TOML. Texts and numbers of JSON are those of TOML."""
    match value:
        case dict():
            pairs = (f"{json.dumps(key)} = {as_toml(each)}" for key, each in value.items())
            return "{" + ", ".join(pairs) + "}"
        case list() | tuple():
            return f"[{', '.join(map(as_toml, value))}]"
        case Path():
            return as_toml(str(value))
    return json.dumps(value, ensure_ascii=False)


if __name__ == "__main__":
    print(render_file(), end="")  # noqa: T201
