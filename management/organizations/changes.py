"""A requested change, applied to an organization and described. Pure."""

from dataclasses import replace
from typing import Any

from management.formatting import iso_seconds
from management.organizations.validation import OrganizationChange
from management.organizations.view import public_view
from producer.sources.clock_skew import ClockSkew
from relay.organizations import Organization
from relay.timestamps import DAY_MS

_TIMESTAMP_FIELDS = {"backfill_from", "credential_expires"}
RESEALED = "resealed"
"""What was done in the history of changes where the same key was sealed again."""
_MAINTAINED_FIELDS = {"added", "modified", "revision"}


def with_changes(organization: Organization, change: OrganizationChange) -> Organization:
    """Return the organization with the requested values. The API key is not among them."""
    values: dict[str, Any] = {
        "url": change.url,
        "user": change.user,
        "state": change.state,
        "gateway": change.gateway,
    }
    fields = {name: value for name, value in values.items() if value is not None}
    if change.interval_seconds is not None:
        fields["interval_seconds"] = change.interval_seconds or None
    if change.expires is not None:
        fields["credential_expires"] = change.expires or None
    if change.backfill_days is not None:
        days = change.backfill_days
        fields["backfill_from"] = organization.added - days * DAY_MS if days else None
    return replace(organization, **fields)


def in_source_time(skew: ClockSkew, candidate: Organization) -> Organization:
    """Return the organization with `added` and `backfill_from` by the source's clock.

    Records created from `added` on are live, earlier ones are backfill. The source's clock stamps the records, so it decides.
    """
    back = None if candidate.backfill_from is None else candidate.backfill_from - skew.ahead_ms
    return replace(candidate, added=candidate.added - skew.ahead_ms, backfill_from=back)


def change_facts(
    before: Organization | None, after: Organization | None, action: str
) -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
    """Return the facts before and after a change for its history. None: there is no organization.

    Facts never hold a key, so another key under the same name would be no difference: the credential then says that it was replaced.
    """
    old, new = (None if each is None else public_view(each) for each in (before, after))
    if before is not None and after is not None and old is not None and new is not None:
        is_other = before.credential_ciphertext != after.credential_ciphertext and action != RESEALED
        if is_other and old["credential"] == new["credential"] and after.credential_reference is None:
            new["credential"] = f"{new['credential']}, replaced by another key"
    return old, new


def describe_differences(before: Organization, after: Organization) -> tuple[str, ...]:
    """Return a line for each changed field: `name: old → new`. A line never holds a key."""
    old, new = public_view(before), public_view(after)
    names = [name for name in new if name not in _MAINTAINED_FIELDS and old[name] != new[name]]
    lines = [f"{name}: {_format_value(name, old[name])} → {_format_value(name, new[name])}" for name in names]
    if "credential" not in names and before.credential_ciphertext != after.credential_ciphertext:
        lines.append(f"credential: {'resealed' if after.credential_reference else 'replaced'}")
    return tuple(lines)


def _format_value(name: str, value: Any) -> str:
    return "none" if value is None else iso_seconds(value) if name in _TIMESTAMP_FIELDS else str(value)
