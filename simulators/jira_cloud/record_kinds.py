"""The kinds of Jira's audit records: for each summary, a function that draws category, item and changes."""

import json
from collections.abc import Callable
from typing import Any

from simulators.jira_cloud.actors import Actors, ObjectItem

Record = dict[str, Any]
"""A record as JSON, or a part of it."""


def _change(field: str, current: str | None = None, previous: str | None = None) -> dict[str, str]:
    change = {"fieldName": field}
    if previous is not None:
        change["changedFrom"] = previous
    if current is not None:
        change["changedTo"] = current
    return change


def _record(
    category: str,
    item: ObjectItem,
    *changes: dict[str, str],
    associated: tuple[ObjectItem, ...] = (),
    **extra: str,
) -> Record:
    record: Record = {"category": category, "objectItem": item, **extra}
    if changes:
        record["changedValues"] = list(changes)
    if associated:
        record["associatedItems"] = list(associated)
    return record


def _global_permission_added(actors: Actors) -> Record:
    item = {"name": "Global Permissions", "typeName": "PERMISSIONS"}
    permission = actors.random.choice(
        ("Administer Jira", "Bulk Change", "Browse users and groups", "Share dashboards")
    )
    group = actors.group()["name"]
    return _record("permissions", item, _change("Permission", permission, ""), _change("Group", group, ""))


def _user_created(actors: Actors) -> Record:
    person, user = actors.random.choice(actors.people), actors.person()
    changes = (
        _change("Username", user["name"]),
        _change("Full name", person.name),
        _change("Email", person.email),
        _change("Active / Inactive", "Active"),
    )
    return _record("user management", user, *changes, associated=(user,))


def _user_updated(actors: Actors) -> Record:
    states = ("Active", "Inactive")
    to = actors.random.choice(states)
    was = states[1 - states.index(to)]
    user = actors.person()
    return _record("user management", user, _change("Active / Inactive", to, was), associated=(user,))


def _permission_scheme_updated(actors: Actors) -> Record:
    granted = actors.random.random() < 0.5
    values = (
        ("Permission", actors.random.choice(("Manage Sprints", "Delete Issues", "Browse Projects"))),
        ("Type", "Project Role"),
        ("Value", actors.role()["name"]),
    )
    changes = (_change(name, value, "") if granted else _change(name, "", value) for name, value in values)
    return _record("permissions", actors.scheme("Permission"), *changes)


def _project_roles_changed(actors: Actors) -> Record:
    users = ", ".join(actors.person()["name"] for _ in range(actors.random.randint(1, 4)))
    return _record(
        "projects", actors.role(), _change("Users", users, ""), associated=(actors.person(), actors.project())
    )


def _project_updated(actors: Actors) -> Record:
    project = actors.project()
    to = actors.random.choice(
        (f"{project['name']} (archived)", "null", "", f"New  name of {project['name']}")
    )
    return _record("projects", project, _change("Name", to, project["name"]))


def _project_version_released(actors: Actors) -> Record:
    return _record(
        "projects", actors.version(), _change("Released", "true", "false"), associated=(actors.project(),)
    )


def _project_version_created(actors: Actors) -> Record:
    version = actors.version()
    changes = (
        _change("Name", version["name"]),
        _change("Description", ""),
        _change("Release date", "2027-01-31"),
    )
    return _record("projects", version, *changes, associated=(actors.project(),))


def _workflow_scheme_updated(actors: Actors) -> Record:
    workflows = (actors.workflow()["name"], actors.workflow()["name"])
    return _record("workflows", actors.scheme("Workflow"), _change("Bug", *workflows))


def _workflow_updated(actors: Actors) -> Record:
    if actors.random.random() < 0.5:
        return _record("workflows", actors.workflow())
    steps = {
        "transitions": [{"id": n, "to": actors.status()["name"]} for n in range(actors.random.randint(2, 30))]
    }
    return _record("workflows", actors.workflow(), _change("Definition", json.dumps(steps), "{}"))


def project_created(actors: Actors, project: ObjectItem | None = None) -> Record:
    project = project or actors.create_project()
    key = f"P{project['id']}"
    changes = (
        _change("Name", project["name"]),
        _change("Key", key),
        _change("Description", ""),
        _change("URL", ""),
    )
    return _record("projects", project, *changes, associated=(actors.person(),))


def _filter_created(actors: Actors) -> Record:
    project = actors.project()["name"]
    jql = f'project = "{project}" AND status != "Blocked" AND (assignee in membersOf("{actors.group()["name"]}") OR updated >= -7d)'
    item = {"id": str(actors.random.randint(10000, 99999)), "name": f"{project}: mine", "typeName": "FILTER"}
    return _record("filters", item, _change("JQL", jql), _change("Owner", actors.person()["name"]))


def _portal_updated(actors: Actors) -> Record:
    text = "Update who can access the portal and send requests"
    return _record("projects", actors.project(), _change("Access", "Anyone", "Customers"), description=text)


def _searched(actors: Actors) -> Record:
    query = actors.random.choice(("user added", "permission", "site-admins"))
    return _record("auditing", {"name": "Audit Log", "typeName": "AUDIT"}, _change("Query", query, ""))


KINDS: dict[str, Callable[[Actors], Record]] = {
    "Global permission added": _global_permission_added,
    "User added to group": lambda actors: _record(
        "group management", actors.group(), associated=(actors.person(),)
    ),
    "User created": _user_created,
    "Permission scheme updated": _permission_scheme_updated,
    "User's password changed": lambda actors: _record(
        "user management", user := actors.person(), associated=(user,)
    ),
    "Project roles changed": _project_roles_changed,
    "User removed from group": lambda actors: _record(
        "group management", actors.group(), associated=(actors.person(),)
    ),
    "User removed from project": lambda actors: _record(
        "projects", actors.project(), associated=(actors.person(),)
    ),
    "Workflow scheme copied": lambda actors: _record(
        "workflows", actors.scheme("Workflow"), associated=({**actors.scheme("Workflow"), "id": "10199"},)
    ),
    "Status updated": lambda actors: _record(
        "status", actors.status(), _change("Description", "Nobody can go on", "")
    ),
    "Status created": lambda actors: _record("status", actors.status(), _change("Category", "In Progress")),
    "Project version released": _project_version_released,
    "Project version created": _project_version_created,
    "Project updated": _project_updated,
    "User updated": _user_updated,
    "Workflow scheme updated": _workflow_scheme_updated,
    "Workflow updated": _workflow_updated,
    "Workflow scheme added to project": lambda actors: _record(
        "workflows", actors.scheme("Workflow"), associated=(actors.project(),)
    ),
    "Project created": project_created,
    "Project component created": lambda actors: _record(
        "projects",
        {"id": "10201", "name": "API", "typeName": "PROJECT_COMPONENT"},
        associated=(actors.project(),),
    ),
    "Group created": lambda actors: _record("group management", actors.group()),
    "Custom field created": lambda actors: _record("fields", actors.field(), _change("Type", "Short text")),
    "Field Configuration scheme updated": lambda actors: _record(
        "fields", actors.scheme("Field Configuration")
    ),
    "Notification scheme deleted": lambda actors: _record("notifications", actors.scheme("Notification")),
    "Filter created": _filter_created,
    "Customer permissions changed": _portal_updated,
    "Audit Log search performed": _searched,
}


def project_part(actors: Actors, number: int, project: ObjectItem) -> Record:
    """Return the record of one of the schemes, fields and workflows that a new project creates."""
    parts = (
        ("Workflow created", "workflows", actors.workflow()),
        ("Workflow scheme added to project", "workflows", actors.scheme("Workflow")),
        ("Permission scheme added to project", "permissions", actors.scheme("Permission")),
        ("Field Configuration scheme added to project", "fields", actors.scheme("Field Configuration")),
        ("Custom field created", "fields", actors.field()),
        ("Issue Security scheme added to project", "permissions", actors.scheme("Issue Security")),
    )
    summary, category, item = parts[number % len(parts)]
    return {"summary": summary, **_record(category, item, associated=(project,))}
