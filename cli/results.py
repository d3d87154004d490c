"""What was done to organizations, and what was not: each told as it happens, or all as one document."""

from collections.abc import AsyncIterator
from dataclasses import asdict
from typing import Any

from cli.output import explain, plain, print_json
from management.organizations.apply_file import Failed
from management.organizations.commands import Done


def tell(done: Done, *, as_json: bool) -> None:
    if as_json:
        print_json(_document(done))
        return
    print(f"{plain(done.name)}: {done.what}.")
    for remark in done.remarks:
        print(f"  {plain(remark)}")


async def tell_each(outcomes: AsyncIterator[Done | Failed], *, as_json: bool) -> bool:
    """Whether all was done."""
    told = []
    async for outcome in outcomes:
        told.append(outcome)
        if as_json:
            continue
        if isinstance(outcome, Failed):
            explain(f"{outcome.name}: not done. {outcome.reason}")
        else:
            tell(outcome, as_json=False)
    if as_json:
        print_json([_document(outcome) for outcome in told])
    return not any(isinstance(outcome, Failed) for outcome in told)


def _document(outcome: Done | Failed) -> dict[str, Any]:
    if isinstance(outcome, Failed):
        return {"name": outcome.name, "error": outcome.reason}
    return asdict(outcome)
