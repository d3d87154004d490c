"""`jira-relay`: one thin command over services and management.

Exit code 0: done; 1: not done, with a sentence on standard error; 2: wrong usage or settings.
"""

import sys
from pathlib import Path
from typing import Annotated

import typer

from cli import organizations, schemas, topics
from cli.context import Context, explain
from relay.errors import RelayError, SettingsError

app = typer.Typer(
    name="jira-relay",
    help="Carries every Jira audit record, exactly once, through Kafka to Microsoft Sentinel and other destinations.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode=None,
)
app.add_typer(organizations.app, name="organizations")
app.add_typer(topics.app, name="topics")
app.add_typer(schemas.app, name="schemas")


@app.callback()
def begin(
    context: typer.Context,
    config: Annotated[Path | None, typer.Option(help="Settings file (TOML); else ./relay.toml if present.")] = None,
) -> None:
    context.obj = Context(config)


def main() -> None:
    """The entry point: what is an operator's to know is one sentence, never a traceback."""
    try:
        app()
    except SettingsError as error:
        explain(str(error))
        sys.exit(2)
    except RelayError as error:
        explain(str(error))
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        sys.exit(1)
