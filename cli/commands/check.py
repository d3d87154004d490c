"""`jira-relay check`."""

import re
from collections.abc import Sequence
from typing import Annotated, get_args

import typer

from cli.context import CommandContext
from cli.operator_context import open_operator_context
from cli.output import JsonOption, escape_controls, print_json, terminal_width, wrap
from cli.table import count_line, list_names
from management.check_results import CheckResult, CheckState
from management.checks import check_all, check_secrets
from management.organizations.causes import shared_reason
from management.rights import Role
from relay.config.secrets import SecretsConfig
from relay.errors import SettingsError

_ORGANIZATION = "organization "
_STATES = get_args(CheckState)
_WORD_WIDTH = max(map(len, _STATES))
_SINCE = re.compile(r" since \d[\d:TZ-]+")
_ADDRESS = re.compile(
    r"https?://(?!status\.atlassian\.com)[\w.:\[\]-]*[\w\]]"  # the site of an organization
    r"|[\w-]+\.atlassian\.net\b|\d+\.\d+\.\d+\.\d+:\d+|[\w.+-]+@[\w.-]*\w"  # its host, or the user
)


def check_command(
    context: typer.Context,
    rights: Annotated[
        list[Role] | None,
        typer.Option(
            help="Role whose Kafka rights are checked (producer, consumer, operator); may be repeated. Default: all roles."
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """For an organization or a destination, the line has what running services report, and the result of this shell's own test.
    Lines that begin with FAILED say what to fix. They come last, before the count; then the exit code is 1.
    """
    state: CommandContext = context.obj
    results: list[CheckResult] = state.run_quietly(_run_checks(state, rights or list(Role), quiet=as_json))
    if as_json:
        print_json([result.document() for result in results])
    else:
        print(_summary(results))
    if not all(result.ok for result in results):
        raise typer.Exit(1)


async def _run_checks(state: CommandContext, rights: Sequence[Role], *, quiet: bool) -> list[CheckResult]:
    """Run the checks. Unless `quiet`, print each result as soon as it is known, but for those that `_is_held_back`."""
    secrets, secrets_result = _usable_secrets(state)
    results: list[CheckResult] = []

    def keep(result: CheckResult) -> None:
        results.append(result)
        if not (quiet or _is_held_back(result)):
            _print_line(result)

    keep(CheckResult("settings", "ok", "valid"))
    keep(secrets_result)
    try:
        async with open_operator_context(state, secrets) as operator:
            async for result in check_all(state.settings, operator, rights):
                keep(result)
    finally:
        if not quiet:
            _print_alike([result for result in results if result.ok and _is_held_back(result)])
            _print_alike([result for result in results if not result.ok])
    return results


def _is_held_back(result: CheckResult) -> bool:
    """Return whether the result is printed at the end: failures, and on a terminal organizations, of which many are alike."""
    return not result.ok or (terminal_width() is not None and result.subject.startswith(_ORGANIZATION))


def _usable_secrets(state: CommandContext) -> tuple[SecretsConfig, CheckResult]:
    """Return the settings of the keys, or none of them when they cannot be used, and the result of their check."""
    try:
        secrets = state.secrets()
        return secrets, check_secrets(secrets)
    except SettingsError as error:
        usable = SecretsConfig(directory=state.settings.secrets.directory)
        return usable, CheckResult("secrets", "failed", str(error))


def _summary(results: Sequence[CheckResult]) -> str:
    words = sorted((result.state for result in results), key=_STATES.index)
    return count_line(len(results), "check", words)


def _print_alike(results: Sequence[CheckResult]) -> None:
    """Print the results; on a terminal, those that differ in the organization's name alone are one."""
    if terminal_width() is None:
        for result in results:
            _print_line(result)
        return
    alike: dict[tuple[CheckState, str], list[CheckResult]] = {}
    for result in results:
        alike.setdefault((result.state, shared_message(result)), []).append(result)
    for (state, message), group in alike.items():
        names = [result.subject.removeprefix(_ORGANIZATION) for result in group]
        subject = f"{len(group)} organizations ({list_names(names)})"
        _print_line(group[0] if len(group) == 1 else CheckResult(subject, state, message))


def shared_message(result: CheckResult) -> str:
    """Return the message of an organization with placeholders for its name, URL, host and user, and without times.

    Another message is returned as it is.
    """
    if not result.subject.startswith(_ORGANIZATION):
        return f"{result.subject}: {result.message}"
    name = result.subject.removeprefix(_ORGANIZATION)
    return shared_reason(_ADDRESS.sub("ADDRESS", _SINCE.sub("", result.message)), name)


def _print_line(result: CheckResult) -> None:
    word = result.state if result.ok else "FAILED"
    line = f"{word.ljust(_WORD_WIDTH)}  {escape_controls(result.subject)}: {escape_controls(result.message)}"
    width = terminal_width()
    print(line if width is None else "\n".join(wrap(line, width, " " * (_WORD_WIDTH + 2))), flush=True)
