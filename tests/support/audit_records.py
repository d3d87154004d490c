"""Audit records in Jira's shape, for rules and queries of Microsoft Sentinel."""

from typing import Any

from tests.support.azure_workspace import iso

Record = dict[str, Any]


def record(
    number: int,
    summary: str,
    at: float = 6,
    *,
    by: str | None = "boss",
    category: str = "user management",
    item: tuple[str, str] | None = None,
    member: str | None = None,
    address: str | None = "203.0.113.7",
    **changes: str,
) -> Record:
    """Return a record. `at`: minutes before NOW. `item`: name and type. `changes`: the new values by field, `__` for ` / `."""
    made: Record = {"id": number, "summary": summary, "created": iso(at).replace("Z", "+0000")}
    if by is not None:
        made |= {"authorKey": f"ug:{by}", "authorAccountId": f"712020:{by}"}
    if address is not None:
        made["remoteAddress"] = address
    made |= {"category": category, "eventSource": ""}
    if item is not None:
        made["objectItem"] = {"name": item[0], "typeName": item[1]}
    if changes:
        made["changedValues"] = [
            {"fieldName": name.replace("__", " / "), "changedFrom": "", "changedTo": value}
            for name, value in changes.items()
        ]
    if member is not None:
        user = f"ug:{member}"
        made["associatedItems"] = [{"id": user, "name": user, "typeName": "USER"}]
    return made


def joined(number: int, group: str, member: str, at: float = 6, **given: Any) -> Record:
    """Return the record of a user who became a member of a group."""
    return record(
        number,
        "User added to group",
        at,
        category="group management",
        item=(group, "GROUP"),
        member=member,
        **given,
    )


def activity(number: int, user: str, at: float, state: str) -> Record:
    """Return the record of a user who was activated or deactivated. `state`: Active or Inactive."""
    return record(
        number, "User updated", at, item=(f"ug:{user}", "USER"), member=user, Active__Inactive=state
    )
