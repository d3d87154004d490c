"""`jira-relay check`."""

from dataclasses import asdict

import typer

from cli.context import CommandContext
from cli.operator_context import open_operator_context
from cli.output import JsonOption, escape_controls, print_json
from management.checks import CheckResult, check_all, check_secrets
from relay.config.secrets import SecretsConfig
from relay.errors import SettingsError


def check_command(context: typer.Context, as_json: JsonOption = False) -> None:
    """Test every connection, and print a line for each: Kafka, topics, schema registry, organizations, destinations.

    A line that begins with FAILED says what to fix; then the exit code is 1.
    """
    state: CommandContext = context.obj
    results: list[CheckResult] = state.run_quietly(_run_checks(state, quiet=as_json))
    if as_json:
        print_json([asdict(result) for result in results])
    if not all(result.ok for result in results):
        raise typer.Exit(1)


async def _run_checks(state: CommandContext, *, quiet: bool) -> list[CheckResult]:
    """Run the checks; unless `quiet`, print each result as soon as it is known."""
    settings = state.settings
    secrets, result = _usable_secrets(state)
    results = [CheckResult("settings", ok=True, message="valid"), result]
    for result in [] if quiet else results:
        _print_result(result)
    async with open_operator_context(state, secrets) as operator:
        async for result in check_all(settings, operator):
            results.append(result)
            if not quiet:
                _print_result(result)
    return results


def _usable_secrets(state: CommandContext) -> tuple[SecretsConfig, CheckResult]:
    """Return the settings of the keys, or none of them when they cannot be used, and the result of their check."""
    try:
        secrets = state.secrets()
        return secrets, check_secrets(secrets)
    except SettingsError as error:
        usable = SecretsConfig(directory=state.settings.secrets.directory)
        return usable, CheckResult("secrets", ok=False, message=str(error))


def _print_result(result: CheckResult) -> None:
    print(
        f"{'ok    ' if result.ok else 'FAILED'}  {result.subject}: {escape_controls(result.message)}",
        flush=True,
    )
