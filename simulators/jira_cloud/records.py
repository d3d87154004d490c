"""Audit records as Jira writes them, by seed: all but their id and created, which the site gives them."""

import json
from collections.abc import Callable
from typing import Any

from simulators.jira_cloud.actors import Cast, Item, Person

Record = dict[str, Any]
FIELDS = [
    "id",
    "summary",
    "remoteAddress",
    "authorKey",
    "authorAccountId",
    "created",
    "category",
    "eventSource",
    "description",
    "objectItem",
    "changedValues",
    "associatedItems",
]
"""Jira's order on the wire."""


def _change(field: str, to: str | None = None, was: str | None = None) -> dict[str, str]:
    change = {"fieldName": field}
    if was is not None:
        change["changedFrom"] = was
    if to is not None:
        change["changedTo"] = to
    return change


def _record(
    category: str, item: Item, *changes: dict[str, str], about: tuple[Item, ...] = (), **more: str
) -> Record:
    record: Record = {"category": category, "objectItem": item, **more}
    if changes:
        record["changedValues"] = list(changes)
    if about:
        record["associatedItems"] = list(about)
    return record


def _global_permission_added(cast: Cast) -> Record:
    item = {"name": "Global Permissions", "typeName": "PERMISSIONS"}
    permission = cast.random.choice(
        ("Administer Jira", "Bulk Change", "Browse users and groups", "Share dashboards")
    )
    group = cast.group()["name"]
    return _record("permissions", item, _change("Permission", permission, ""), _change("Group", group, ""))


def _user_created(cast: Cast) -> Record:
    person, user = cast.random.choice(cast.people), cast.person()
    changes = (
        _change("Username", user["name"]),
        _change("Full name", person.name),
        _change("Email", person.email),
        _change("Active / Inactive", "Active"),
    )
    return _record("user management", user, *changes, about=(user,))


def _user_updated(cast: Cast) -> Record:
    states = ("Active", "Inactive")
    to = cast.random.choice(states)
    was = states[1 - states.index(to)]
    user = cast.person()
    return _record("user management", user, _change("Active / Inactive", to, was), about=(user,))


def _permission_scheme_updated(cast: Cast) -> Record:
    granted = cast.random.random() < 0.5
    words = (
        ("Permission", cast.random.choice(("Manage Sprints", "Delete Issues", "Browse Projects"))),
        ("Type", "Project Role"),
        ("Value", cast.role()["name"]),
    )
    changes = (_change(name, value, "") if granted else _change(name, "", value) for name, value in words)
    return _record("permissions", cast.scheme("Permission"), *changes)


def _project_roles_changed(cast: Cast) -> Record:
    users = ", ".join(cast.person()["name"] for _ in range(cast.random.randint(1, 4)))
    return _record(
        "projects", cast.role(), _change("Users", users, ""), about=(cast.person(), cast.project())
    )


def _project_updated(cast: Cast) -> Record:
    project = cast.project()
    to = cast.random.choice((f"{project['name']} (archived)", "null", "", f"New  name of {project['name']}"))
    return _record("projects", project, _change("Name", to, project["name"]))


def _project_version_released(cast: Cast) -> Record:
    return _record("projects", cast.version(), _change("Released", "true", "false"), about=(cast.project(),))


def _project_version_created(cast: Cast) -> Record:
    version = cast.version()
    changes = (
        _change("Name", version["name"]),
        _change("Description", ""),
        _change("Release date", "2027-01-31"),
    )
    return _record("projects", version, *changes, about=(cast.project(),))


def _workflow_scheme_updated(cast: Cast) -> Record:
    workflows = (cast.workflow()["name"], cast.workflow()["name"])
    return _record("workflows", cast.scheme("Workflow"), _change("Bug", *workflows))


def _workflow_updated(cast: Cast) -> Record:
    if cast.random.random() < 0.5:
        return _record("workflows", cast.workflow())
    steps = {
        "transitions": [{"id": n, "to": cast.status()["name"]} for n in range(cast.random.randint(2, 30))]
    }
    return _record("workflows", cast.workflow(), _change("Definition", json.dumps(steps), "{}"))


def _project_created(cast: Cast, project: Item | None = None) -> Record:
    project = project or cast.new_project()
    key = f"P{project['id']}"
    changes = (
        _change("Name", project["name"]),
        _change("Key", key),
        _change("Description", ""),
        _change("URL", ""),
    )
    return _record("projects", project, *changes, about=(cast.person(),))


def _filter_created(cast: Cast) -> Record:
    project = cast.project()["name"]
    jql = f'project = "{project}" AND status != "Blocked" AND (assignee in membersOf("{cast.group()["name"]}") OR updated >= -7d)'
    item = {"id": str(cast.random.randint(10000, 99999)), "name": f"{project}: mine", "typeName": "FILTER"}
    return _record("filters", item, _change("JQL", jql), _change("Owner", cast.person()["name"]))


def _portal_updated(cast: Cast) -> Record:
    text = "Update who can access the portal and send requests"
    return _record("projects", cast.project(), _change("Access", "Anyone", "Customers"), description=text)


def _searched(cast: Cast) -> Record:
    query = cast.random.choice(("user added", "permission", "site-admins"))
    return _record("auditing", {"name": "Audit Log", "typeName": "AUDIT"}, _change("Query", query, ""))


_KINDS: dict[str, Callable[[Cast], Record]] = {
    "Global permission added": _global_permission_added,
    "User added to group": lambda cast: _record("group management", cast.group(), about=(cast.person(),)),
    "User created": _user_created,
    "Permission scheme updated": _permission_scheme_updated,
    "User's password changed": lambda cast: _record("user management", user := cast.person(), about=(user,)),
    "Project roles changed": _project_roles_changed,
    "User removed from group": lambda cast: _record("group management", cast.group(), about=(cast.person(),)),
    "User removed from project": lambda cast: _record("projects", cast.project(), about=(cast.person(),)),
    "Workflow scheme copied": lambda cast: _record(
        "workflows", cast.scheme("Workflow"), about=({**cast.scheme("Workflow"), "id": "10199"},)
    ),
    "Status updated": lambda cast: _record(
        "status", cast.status(), _change("Description", "Nobody can go on", "")
    ),
    "Status created": lambda cast: _record("status", cast.status(), _change("Category", "In Progress")),
    "Project version released": _project_version_released,
    "Project version created": _project_version_created,
    "Project updated": _project_updated,
    "User updated": _user_updated,
    "Workflow scheme updated": _workflow_scheme_updated,
    "Workflow updated": _workflow_updated,
    "Workflow scheme added to project": lambda cast: _record(
        "workflows", cast.scheme("Workflow"), about=(cast.project(),)
    ),
    "Project created": _project_created,
    "Project component created": lambda cast: _record(
        "projects", {"id": "10201", "name": "API", "typeName": "PROJECT_COMPONENT"}, about=(cast.project(),)
    ),
    "Group created": lambda cast: _record("group management", cast.group()),
    "Custom field created": lambda cast: _record("fields", cast.field(), _change("Type", "Short text")),
    "Field Configuration scheme updated": lambda cast: _record("fields", cast.scheme("Field Configuration")),
    "Notification scheme deleted": lambda cast: _record("notifications", cast.scheme("Notification")),
    "Filter created": _filter_created,
    "Customer permissions changed": _portal_updated,
    "Audit Log search performed": _searched,
}
SUMMARIES = tuple(_KINDS)
_BY_THE_SYSTEM = (
    "User added to group",
    "User removed from group",
    "User updated",
    "User created",
    "Group created",
)
_ALWAYS_BY_A_PERSON = ("User's password changed",)


class Records:
    """A source of records. Each kind comes once before any comes again, in an order drawn from the seed."""

    def __init__(self, seed: str) -> None:
        self.cast = Cast(seed)
        self._deck: list[str] = []

    def make(self, summary: str | None = None) -> Record:
        """A record of this kind, or of the next; an unknown summary makes a bare system record."""
        summary = summary if summary is not None else self._draw()
        kind = _KINDS.get(summary)
        body = kind(self.cast) if kind else {"category": "system"}
        if not kind or (summary in _BY_THE_SYSTEM and self.cast.random.random() < 0.6):
            return {"summary": summary, "eventSource": "", **body}
        return {"summary": summary, "eventSource": "", **self._author(summary), **body}

    def project_creation(self) -> list[Record]:
        """What one click on "create project" leaves behind: about thirty records by one person."""
        project, person = self.cast.new_project(), self.cast.random.choice(self.cast.admins)
        first = {"summary": "Project created", **_project_created(self.cast, project)}
        records = [
            first,
            *(_part_of(self.cast, number, project) for number in range(self.cast.random.randint(25, 32))),
        ]
        return [{"eventSource": "", **_by(person), **record} for record in records]

    def _draw(self) -> str:
        if not self._deck:
            self._deck = self.cast.random.sample(SUMMARIES, len(SUMMARIES))
        return self._deck.pop()

    def _author(self, summary: str) -> dict[str, str]:
        author = _by(self.cast.random.choice(self.cast.admins))
        if summary not in _ALWAYS_BY_A_PERSON and self.cast.random.random() < 0.15:
            del author["remoteAddress"]
        return author


def _by(person: Person) -> dict[str, str]:
    return {
        "remoteAddress": person.address,
        "authorKey": person.key,
        "authorAccountId": person.account_id,
    }


def _part_of(cast: Cast, number: int, project: Item) -> Record:
    """One of the schemes, fields and workflows that a new project brings along."""
    parts = (
        ("Workflow created", "workflows", cast.workflow()),
        ("Workflow scheme added to project", "workflows", cast.scheme("Workflow")),
        ("Permission scheme added to project", "permissions", cast.scheme("Permission")),
        ("Field Configuration scheme added to project", "fields", cast.scheme("Field Configuration")),
        ("Custom field created", "fields", cast.field()),
        ("Issue Security scheme added to project", "permissions", cast.scheme("Issue Security")),
    )
    summary, category, item = parts[number % len(parts)]
    return {"summary": summary, **_record(category, item, about=(project,))}
