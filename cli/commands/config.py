"""`jira-relay config`."""

import os
from collections import Counter
from typing import Annotated, Any

import typer

from cli.context import CommandContext
from cli.output import JsonOption, escape_controls, print_json
from management.checks import check_secrets
from management.settings import Settings
from management.settings_view import DEFAULT, render_toml, setting_views
from relay.config.names import dotted
from relay.config.sources import SettingValues
from relay.credentials.keyring import load_keyring
from relay.credentials.redaction import Redactor
from relay.credentials.stores.stored_secret import stored_secrets_in
from relay.errors import SettingsError

app = typer.Typer(no_args_is_help=True)


@app.command()
def show(
    context: typer.Context,
    prefix: Annotated[
        str,
        typer.Argument(
            metavar="[NAME]",
            help="A group or a setting, such as kafka or destinations.NAME. Default: all.",
            show_default=False,
        ),
    ] = "",
    only_set: Annotated[
        bool, typer.Option("--set", help="Leave out settings that have their default.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Show each setting in force and its source: a variable of the environment, the settings file, or the default.

    Secrets are not shown, only whether they are set. The output is a settings file; secrets are comments in it.
    """
    state: CommandContext = context.obj
    views = [
        view
        for view in setting_views(*state.given_settings)
        if f"{dotted(view.name)}.".startswith(f"{prefix}.".lstrip("."))
        and not (only_set and view.source == DEFAULT)
    ]
    if not views and not only_set:
        raise SettingsError(
            f"{prefix} is neither a group nor a setting; `jira-relay config show` lists them."
        )
    if as_json:
        print_json([{**view.document(), "value": _redacted(view.value, state.redactor)} for view in views])
        return
    for line in render_toml(views):
        print(escape_controls(state.redactor(line)))


def _redacted(value: Any, redactor: Redactor) -> Any:
    """Return a value of JSON without the secrets that its texts may repeat."""
    match value:
        case str():
            return redactor(value)
        case dict():
            return {redactor(name): _redacted(each, redactor) for name, each in value.items()}
        case list():
            return [_redacted(each, redactor) for each in value]
    return value


def _secrets_text(settings: Settings) -> str:
    """Return whether API keys can be encrypted. Raises SettingsError when the keys cannot be used."""
    if settings.kafka.bootstrap is None and load_keyring(settings.secrets) is None:
        return f"`jira-relay up` makes the key that encrypts API keys, in {settings.embedded.data_dir}"
    return check_secrets(settings.secrets).message


@app.command()
def check(context: typer.Context, as_json: JsonOption = False) -> None:
    """Check the settings: names, values, files, filters, and the keys that encrypt API keys. Only secret stores are asked.

    A fault ends the command with 2, and one line for each. `jira-relay check` tests every connection.
    """
    state: CommandContext = context.obj
    settings, given = state.given_settings
    facts = {
        "settings": f"valid, from {_sources(given)}",
        "secrets": _secrets_text(settings),
        **_references(settings),
        "Kafka": settings.kafka.bootstrap or "that of `jira-relay up`, since kafka.bootstrap is not set",
        "destinations": ", ".join(
            f"{name} ({each.kind})" for name, each in sorted(settings.destinations.items())
        )
        or "none is set; events stay in Kafka for 30 days",
    }
    if as_json:
        print_json(facts)
        return
    for name, text in facts.items():
        print(f"ok  {name}: {escape_controls(text)}")


def _references(settings: Settings) -> dict[str, str]:
    """Return how many secrets of the settings are in stores, which were asked when the settings were read."""
    found = Counter(each.reference.partition(":")[0] for each in stored_secrets_in(settings))
    text = ", ".join(f"{count} read from {kind}" for kind, count in sorted(found.items()))
    return {"references": text} if text else {}


def _sources(given: SettingValues) -> str:
    """Return the file and the number of variables that settings come from."""
    sources = {each.source for each in given.values.values()}
    files = sorted(source for source in sources if source not in os.environ)
    count = len(sources) - len(files)
    variables = [f"{count} variable{'s' if count != 1 else ''} of the environment"] if count else []
    return " and ".join([*files, *variables]) or "the defaults alone"
