from dataclasses import asdict

import typer

from cli.context import Context
from cli.operator_context import opened_means
from cli.output import Json, plain, print_json
from management.checks import Finding, check_all, check_secrets
from relay.config.secrets import SecretsConfig
from relay.errors import SettingsError


def check_command(context: typer.Context, as_json: Json = False) -> None:
    """Try every connection: Kafka, topics, schema registry, organizations, destinations; a line each, with what to fix."""
    state: Context = context.obj
    findings: list[Finding] = state.ask(_tried(state, quiet=as_json))
    if as_json:
        print_json([asdict(finding) for finding in findings])
    if not all(finding.ok for finding in findings):
        raise typer.Exit(1)


async def _tried(state: Context, *, quiet: bool) -> list[Finding]:
    """Each is told as soon as it is found."""
    settings = state.settings
    secrets, finding = _secrets(state)
    findings = [Finding("settings", ok=True, message="can be used"), finding]
    for finding in [] if quiet else findings:
        _tell(finding)
    async with opened_means(state, secrets) as means:
        async for finding in check_all(settings, means):
            findings.append(finding)
            if not quiet:
                _tell(finding)
    return findings


def _secrets(state: Context) -> tuple[SecretsConfig, Finding]:
    """What keys are encrypted with, as far as it can be used."""
    try:
        secrets = state.secrets()
        return secrets, check_secrets(secrets)
    except SettingsError as error:
        usable = SecretsConfig(directory=state.settings.secrets.directory)
        return usable, Finding("secrets", ok=False, message=str(error))


def _tell(finding: Finding) -> None:
    print(f"{'ok    ' if finding.ok else 'FAILED'}  {finding.subject}: {plain(finding.message)}", flush=True)
