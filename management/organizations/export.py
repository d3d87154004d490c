"""Organizations as entries of a file for `organizations apply`. Pure, and without secrets."""

import json
from collections.abc import Sequence
from datetime import date
from typing import Any

from management.formatting import iso_seconds
from relay.organizations import Organization
from relay.timestamps import DAY_MS

_KEPT_KEY = "# The API key is stored, and kept when this is applied. Elsewhere, add api_key_file."


def export_members(organization: Organization) -> dict[str, Any]:
    """Return the members of an entry that differ from those of a new organization. Days are ISO texts."""
    members: dict[str, Any] = {
        "name": organization.name,
        "url": organization.url,
        "user": organization.user,
        "api_key_ref": organization.credential_reference,
        "gateway": organization.gateway or None,
        "interval_seconds": organization.interval_seconds,
        "backfill_days": _backfill_days(organization),
        "key_expires": _expiry_day(organization),
        "state": organization.state,
    }
    return {name: value for name, value in members.items() if value is not None}


def render_toml(organizations: Sequence[Organization]) -> str:
    """Return the document in TOML, with a comment where a key is not in it."""
    return "\n\n".join(map(_render_table, organizations))


def _render_table(organization: Organization) -> str:
    lines = ["[[organizations]]"]
    for name, value in export_members(organization).items():
        text = value if name == "key_expires" else json.dumps(value, ensure_ascii=False)
        lines.append(f"{name} = {text}")
    if organization.credential_reference is None:
        lines.append(_KEPT_KEY)
    return "\n".join(lines)


def _backfill_days(organization: Organization) -> int | None:
    if organization.backfill_from is None:
        return None
    return round((organization.added - organization.backfill_from) / DAY_MS)


def _expiry_day(organization: Organization) -> str | None:
    expires = organization.credential_expires
    return None if expires is None else date.fromisoformat(iso_seconds(expires)[:10]).isoformat()
