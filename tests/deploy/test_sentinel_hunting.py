"""The relay's own hunting queries, on rows that the relay makes of Jira's records."""

import json

from tests.support.audit_records import joined, record
from tests.support.azure_workspace import NOW, Workspace
from tests.support.sentinel_content import load

DAY = 1_440
AT_SATURDAY = (NOW.weekday() + 2) * DAY


def hunt(slug, workspace):
    found = workspace.query(load("hunting")[slug]["query"])
    mapped = [
        each["columnName"]
        for entity in load("hunting")[slug].get("entityMappings", ())
        for each in entity["fieldMappings"]
    ]
    assert all(row.keys() >= set(mapped) for row in found)
    return found


def test_a_new_address_is_found():
    """An address counts for a user who did not have it, even if another user or the same user in a backfill had it."""
    workspace = Workspace()
    workspace.add(record(1, "User updated", 3 * DAY, by="eve", address="192.0.2.1"), arrived=DAY)
    workspace.add(record(2, "User updated", 9 * DAY, by="ann", address="192.0.2.9"), mode="backfill")
    workspace.add(
        record(3, "User updated", by="eve", address="192.0.2.9"),
        record(4, "User updated", by="eve", address="192.0.2.1"),
        record(5, "User updated", by="ann", address="192.0.2.9"),
        record(6, "Project updated", by="eve", address="192.0.2.5", category="projects"),
        record(7, "User updated", by="eve", address=None),
        record(8, "User updated", by=None, address="192.0.2.8"),
    )
    workspace.add(record(9, "User updated", 2 * DAY, by="eve", address="192.0.2.7"), arrived=DAY)
    found = hunt("administrator-new-address", workspace)
    assert [(row["Actor"], row["SrcIpAddr"]) for row in found] == [("712020:eve", "192.0.2.9")]


def test_a_new_kind_of_event_is_found():
    """A kind counts that the organization never had, even if another one had it."""
    workspace = Workspace()
    workspace.add(record(1, "User updated", 3 * DAY), record(5, "Old event", 2 * DAY), arrived=DAY)
    workspace.add(record(2, "Webhook created", 3 * DAY), organization="other.atlassian.net", arrived=DAY)
    workspace.add(record(3, "Webhook created"), record(4, "User updated"))
    found = hunt("first-seen-event", workspace)
    assert [(row["Organization"], row["EventMessage"]) for row in found] == [
        ("acme.atlassian.net", "Webhook created")
    ]


def test_an_address_of_several_users_is_found():
    """Three users count, over organizations, and two do not."""
    workspace = Workspace()
    workspace.add(*(record(n, "User updated", by=f"u{n}", address="192.0.2.1") for n in range(2)))
    workspace.add(record(5, "User updated", by="u5", address="192.0.2.1"), organization="other.atlassian.net")
    workspace.add(*(record(n, "User updated", by=f"u{n}", address="192.0.2.2") for n in (7, 8)))
    workspace.add(record(9, "User updated", by=None, address="192.0.2.2"))
    workspace.add(*(record(20 + n, "User updated", by=f"u{n}", address=None) for n in range(3)))
    found = hunt("address-of-many-users", workspace)
    assert [(row["SrcIpAddr"], row["Users"]) for row in found] == [("192.0.2.1", 3)]
    assert len(json.loads(found[0]["Organizations"])) == 2


def test_changes_at_weekends_are_found():
    """The day of Jira's clock counts: a change of Saturday that arrived on Wednesday, and none of Wednesday."""
    workspace = Workspace()
    saturday = record(1, "User updated", AT_SATURDAY)
    workspace.add(saturday, record(2, "User updated"))
    workspace.add(saturday, record(3, "Project updated", AT_SATURDAY, category="projects"))
    found = hunt("changes-at-weekends", workspace)
    assert [row["EventCreationTime"].weekday() for row in found] == [5]


def test_changes_by_new_administrators_are_found():
    """Changes after the promotion count for seven days."""
    workspace = Workspace()
    workspace.add(
        joined(1, "site-admins", "eve", 9 * DAY),
        joined(2, "jira-software-users", "ann", 9 * DAY),
        record(3, "User updated", 9 * DAY, member="bob", item=("site-admins", "GROUP")),
        arrived=9 * DAY,
    )
    workspace.add(*(record(20 + n, "Project updated", 3 * DAY, by=by) for n, by in enumerate(("ann", "bob"))))
    workspace.add(record(12, "Project updated", 3 * DAY, by="eve"))
    workspace.add(
        *(
            record(number, "Project updated", age * DAY, by="eve")
            for number, age in enumerate((10, 8, 3, 1), 10)
        )
    )
    found = hunt("what-new-administrators-did", workspace)
    assert [(row["EventCreationTime"] - row["Since"]).days for row in found] == [1, 6]


def test_changes_without_an_author_are_found():
    """Changes by nobody count by kind; those by a user and those of projects do not."""
    workspace = Workspace()
    workspace.add(
        record(1, "User added to group", by=None),
        record(2, "User added to group", by=None),
        record(3, "User added to group"),
        record(4, "Project updated", by=None, category="projects"),
    )
    found = hunt("changes-without-author", workspace)
    assert [(row["EventMessage"], row["Events"]) for row in found] == [("User added to group", 2)]


def test_missing_ids_are_counted_by_day():
    """Ids that neither table has are missing; repeats count once."""
    workspace = Workspace()
    for _ in range(2):
        workspace.add(*(record(number, "Project updated") for number in (11, 12, 20)))
    workspace.add(record(15, "Project updated"), mode="backfill")
    ((records, missing),) = [(row["Records"], row["Missing"]) for row in hunt("gaps-in-ids", workspace)]
    assert (records, missing) == (4, 6)


def test_repeated_rows_are_counted_by_hour():
    """An event that is there three times is one event and three rows; replays to the live table do not count."""
    workspace = Workspace()
    for _ in range(3):
        workspace.add(record(1, "Project updated"))
    workspace.add(record(2, "Project updated"))
    workspace.add(record(2, "Project updated"), replay="job-1")
    found = hunt("repeated-rows", workspace)
    assert [(row["Events"], row["Rows"]) for row in found] == [(1, 3)]
