from typing import Annotated

import typer

from cli.context import Context, print_json, run
from management.organizations import organizations, shown

app = typer.Typer(help="The Jira organizations that are followed.", no_args_is_help=True)

Json = Annotated[bool, typer.Option("--json", help="One JSON document.")]


@app.command("list")
def list_organizations(context: typer.Context, as_json: Json = False) -> None:
    """Show every organization, with its state in words."""
    state: Context = context.obj
    found = run(organizations(state.connection()))
    if as_json:
        print_json([shown(organization) for _, organization in sorted(found.items())])
        return
    for name, organization in sorted(found.items()):
        print(name, organization.url, organization.state)
