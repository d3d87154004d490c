"""The results of changes to organizations: printed one by one, or as one JSON document at the end."""

from collections.abc import AsyncIterator
from typing import Any

from cli.output import escape_controls, print_error, print_json
from cli.table import count_line
from management.organizations.results import ChangeFailure, ChangeResult


def print_result(result: ChangeResult, *, as_json: bool) -> None:
    """Print one result with its remarks."""
    if as_json:
        print_json(_result_document(result))
        return
    print(f"{escape_controls(result.name)}: {result.action}.")
    for remark in result.remarks:
        print(f"  {escape_controls(remark)}")


async def print_results(
    results: AsyncIterator[ChangeResult | ChangeFailure], *, as_json: bool, summary: bool = False
) -> bool:
    """Print each result, failures to standard error, and with `summary` the counts. Return whether there was no failure."""
    printed = []
    async for result in results:
        printed.append(result)
        if as_json:
            continue
        if isinstance(result, ChangeFailure):
            print_error(f"{result.name}: not changed. {result.reason}")
        else:
            print_result(result, as_json=False)
    if as_json:
        print_json([_result_document(result) for result in printed])
    elif summary:
        words = ["not changed" if isinstance(result, ChangeFailure) else result.action for result in printed]
        print(f"{count_line(len(printed), 'organization', words)}.")
    return not any(isinstance(result, ChangeFailure) for result in printed)


def _result_document(result: ChangeResult | ChangeFailure) -> dict[str, Any]:
    if isinstance(result, ChangeFailure):
        return {"name": result.name, "error": result.reason}
    return {"name": result.name, "what": result.action, "remarks": result.remarks}
