"""Make one organization as requested, whether it exists or not: the same request twice changes nothing."""

from dataclasses import replace

from management.context import OperatorContext
from management.organizations.commands import add, modify
from management.organizations.credentials import has_key
from management.organizations.editor import StaleEditError
from management.organizations.results import ChangeResult
from management.organizations.store import read_organizations
from management.organizations.validation import OrganizationChange
from relay.organizations import Organization


async def put(
    context: OperatorContext,
    name: str,
    change: OrganizationChange,
    *,
    test: bool = True,
    etag: str | None = None,
    creates_only: bool = False,
) -> ChangeResult:
    """Add the organization, or change the fields that `change` names. `etag` as for `modify`.

    `creates_only`: raise StaleEditError if the organization exists. Raises RelayError.
    """
    before = (await read_organizations(context.connection)).get(name)
    if before is not None and creates_only:
        raise StaleEditError(f"{name} exists already, and the request asked to add it. Nothing was changed.")
    if before is None and etag is None:
        return await add(context, change, name, test=test)
    if before is not None:
        change = without_stored_key(context, before, change)
    return await modify(context, name, change, test=test, etag=etag)


def without_stored_key(
    context: OperatorContext, before: Organization, change: OrganizationChange
) -> OrganizationChange:
    """Return the change without its key, if the organization has this key: it would only be sealed again.

    For another URL or user the key must be sealed again, so it is kept.
    """
    if change.key is None or not has_key(context, before, change.key):
        return change
    other_identity = (change.url or before.url, change.user or before.user) != (before.url, before.user)
    return change if other_identity else replace(change, key=None)
