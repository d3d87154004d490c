"""The relay's own analytic rules for people and permissions, on rows that the relay makes of Jira's records."""

import pytest

from tests.support.audit_records import activity, joined, record
from tests.support.azure_workspace import ORGANIZATION
from tests.support.sentinel_content import Batch, alerts

OTHER = "other.atlassian.net"


def uids(rows):
    return sorted(row["EventUid"].rsplit("/", 1)[1] for row in rows)


def granted(number, permission, group, at=6):
    return record(
        number,
        "Global permission added",
        at,
        category="permissions",
        item=("Global Permissions", "PERMISSIONS"),
        Permission=permission,
        Group=group,
    )


def test_an_administrator_of_any_name_is_found():
    """A group counts by its name, or by a permission of the last 14 days, of the same organization and of a backfill too."""
    found = alerts(
        "administrator-added",
        Batch((granted(1, "Administer Jira", "Crew"),), {"arrived": 10_000, "mode": "backfill"}),
        Batch(
            (
                granted(2, "Bulk Change", "Readers"),
                {**granted(3, "Administer Jira", "Former crew"), "summary": "Global permission removed"},
            ),
            {"arrived": 10_000},
        ),
        Batch(
            (
                joined(11, "site-admins", "eve"),
                joined(12, "Org Administrators", "eve"),
                joined(13, "crew", "eve", by=None, address=None),
                joined(14, "Readers", "eve"),
                joined(15, "jira-software-users", "eve"),
                joined(19, "Former crew", "eve"),
                joined(20, "Site owners", "eve"),
                joined(21, "superusers", "eve"),
                record(16, "User removed from group", item=("site-admins", "GROUP"), member="eve"),
            )
        ),
        Batch((joined(17, "site-admins", "mallory", 90),), {"arrived": 61}),
        Batch((joined(18, "Crew", "eve"),), {"organization": OTHER}),
    )
    assert uids(found) == ["11", "12", "13", "20", "21"]
    crew = next(row for row in found if row["Group"] == "crew")
    assert (crew["Organization"], crew["Member"], crew["Actor"]) == (ORGANIZATION, "ug:eve", "")
    assert {row["Actor"] for row in found} == {"712020:boss", ""}


def test_a_late_event_raises_an_alert_too():
    """An event that became visible days after its time is new to the analyst."""
    found = alerts(
        "administrator-added",
        Batch((joined(1, "site-admins", "eve", 5_000),), {"mode": "late", "collected": 6}),
    )
    assert uids(found) == ["1"]


def test_a_permission_to_administer_is_found():
    """Each global permission to administer counts, and no other."""
    found = alerts(
        "administer-permission-granted",
        Batch(
            (
                granted(1, "Administer Jira", "Crew"),
                granted(2, "Jira System Administrators", "Crew"),
                granted(3, "Bulk Change", "jira-administrators"),
                record(4, "Global permission removed", category="permissions", Permission="Administer Jira"),
            )
        ),
    )
    assert uids(found) == ["1", "2"]


def test_a_permission_for_anyone_is_found():
    """Permissions for the public count, in each wording."""
    found = alerts(
        "permission-for-anyone",
        Batch(
            (
                record(1, "Permission scheme updated", category="permissions", Group="Anyone on the web"),
                record(2, "Global permission added", category="permissions", Group="Anyone"),
                record(3, "Customer permissions changed", category="projects", Access="Anonymous users"),
                record(4, "Permission scheme updated", category="permissions", Group="Anyone logged in"),
                record(5, "Project updated", category="projects", Name="Anyone"),
                record(6, "Global permission added", category="system", Group="Public"),
            )
        ),
    )
    assert uids(found) == ["1", "2", "3", "6"]


def changes(first, count, by, start, step=1.0, summary="Permission scheme updated", category="permissions"):
    return tuple(
        record(
            first + number,
            summary,
            start - number * step,
            by=by,
            category=category,
            item=(f"Scheme {number}", "SCHEME"),
        )
        for number in range(count)
    )


def test_mass_changes_are_counted_by_the_clock_of_jira():
    """Eleven changes in half an hour count; changes of a day that arrive together after an outage, ten, or no author do not."""
    found = alerts(
        "mass-permission-changes",
        Batch(
            changes(100, 10, "eve", 29) + changes(150, 1, "eve", 28, 1, "Project roles changed", "projects")
        ),
        Batch(changes(160, 20, "busy", 29, 1, "Project updated", "projects")),
        Batch(changes(200, 20, "slow", 1000, 30)),
        Batch(changes(300, 10, "tidy", 29)),
        Batch(changes(400, 11, None, 29)),
        Batch(changes(500, 11, "old", 89), {"arrived": 70}),
    )
    assert [(row["Actor"], row["Changes"], row["Organization"]) for row in found] == [
        ("712020:eve", 11, ORGANIZATION)
    ]


def test_mass_removals_are_counted_by_person():
    """Eleven people who lose access count once each, whichever way; one person removed from many groups does not."""
    gone = tuple(
        record(number, "User removed from group", 29, item=("team", "GROUP"), member=f"user{number}")
        for number in range(8)
    )
    off = tuple(activity(20 + number, f"off{number}", 28, "Inactive") for number in range(3))
    one = tuple(
        record(40 + n, "User removed from group", 27, by="tidy", item=(f"g{n}", "GROUP"), member="one")
        for n in range(15)
    )
    back = tuple(activity(60 + n, f"back{n}", 27, "Active") for n in range(15))
    old = tuple(record(80 + n, "User deleted", 89, by="old", member=f"old{n}") for n in range(15))
    found = alerts("mass-access-removal", Batch(gone + off + one + back), Batch(old, {"arrived": 70}))
    assert [(row["Actor"], row["People"]) for row in found] == [("712020:boss", 11)]


def test_a_new_user_who_becomes_administrator_is_found():
    """The times of Jira decide, in whichever order the records arrive; a user of older days does not count."""
    created = record(1, "User created", 700, item=("ug:new", "USER"), member="new")
    veteran = record(2, "User created", 1_500, item=("ug:old", "USER"), member="old")
    known = record(3, "User created", 700, item=("ug:known", "USER"), member="known")
    edited = record(4, "User updated", 700, item=("ug:edited", "USER"), member="edited")
    found = alerts(
        "new-user-made-administrator",
        Batch((veteran,), {"arrived": 1_490}),
        Batch((known, edited), {"arrived": 690}),
        Batch(
            (joined(11, "site-admins", "new", 80), joined(14, "site-admins", "known", 80)), {"arrived": 70}
        ),
        Batch((joined(12, "site-admins", "old"), joined(15, "site-admins", "edited"))),
        Batch((joined(13, "jira-software-users", "new"),)),
        Batch((created,), {"arrived": 2, "mode": "late"}),
    )
    assert uids(found) == ["11"]


def test_a_deactivated_user_who_acts_is_found():
    """Only changes after the deactivation count, and none after the user was activated again."""
    found = alerts(
        "deactivated-user-acts",
        Batch((activity(1, "eve", 5_000, "Inactive"),), {"arrived": 4_990, "mode": "backfill"}),
        Batch((activity(2, "back", 5_000, "Inactive"),), {"arrived": 4_990}),
        Batch((activity(3, "back", 900, "Active"),), {"arrived": 890}),
        Batch((activity(4, "later", 2, "Inactive"),), {"arrived": 1}),
        Batch((record(5, "Component updated", 900, member="ann", State="Inactive"),), {"arrived": 890}),
        Batch((record(16, "Project updated", 95, by="eve"),), {"arrived": 90}),
        Batch(
            (
                record(11, "Project updated", by="eve"),
                record(12, "Project updated", by="back"),
                record(13, "Project updated", by="later"),
                record(14, "Project updated", by=None),
                record(17, "Project updated", by="ann"),
            )
        ),
        Batch((record(15, "Project updated", by="eve"),), {"organization": OTHER}),
    )
    assert uids(found) == ["11"]


def test_passwords_of_many_users_are_found():
    """Four users in half an hour count, and four changes of one user do not."""
    many = tuple(record(n, "User's password changed", 29 - n, member=f"user{n}") for n in range(4))
    one = tuple(record(10 + n, "User's password changed", 59 - n, member="one") for n in range(9))
    other = tuple(record(20 + n, "User updated", 59 - n, member=f"other{n}") for n in range(9))
    old = tuple(record(40 + n, "User's password changed", 89 - n, member=f"old{n}") for n in range(9))
    found = alerts("many-passwords-changed", Batch(many + one + other), Batch(old, {"arrived": 70}))
    assert [row["People"] for row in found] == [4]


@pytest.mark.parametrize(
    ("slug", "matching", "others"),
    [
        (
            "token-changed",
            (
                "API token created",
                "Personal access token deleted",
                "OAuth credential added",
                "API key revoked",
            ),
            ("User created", "Project tokenizer created", "Workflow updated"),
        ),
        (
            "login-settings-changed",
            (
                "SAML configuration updated",
                "SSO enforced",
                "Identity provider added",
                "Domain verified",
                "Authentication policy updated",
                "IP allowlist updated",
            ),
            ("User updated", "Subdomainer created", "Custom field created"),
        ),
        (
            "integration-added",
            ("Webhook created", "App installed", "Application link added"),
            ("Webhook deleted", "Approval created", "Project component created"),
        ),
        (
            "audit-log-read",
            ("Audit Log search performed", "Audit log exported"),
            ("Audit log retention updated", "Project exported"),
        ),
        (
            "audit-log-changed",
            ("Audit log retention updated", "Audit log disabled"),
            ("Audit Log search performed", "Audit log exported", "User updated"),
        ),
    ],
)
def test_a_rule_of_words_finds_its_events_alone(slug, matching, others):
    """A rule finds each event whose summary has its words, and no other event."""
    records = [record(number, text) for number, text in enumerate(matching + others)]
    assert uids(alerts(slug, Batch(tuple(records)))) == [str(number) for number in range(len(matching))]


def test_deleted_projects_are_counted():
    """Three projects in an hour of Jira's clock count, two do not, and neither do three components."""
    gone = [record(n, "Project deleted", 50 - n, item=(f"P{n}", "PROJECT")) for n in range(3)]
    two = [record(9 + n, "Project deleted", 50, by="tidy", item=(f"Q{n}", "PROJECT")) for n in range(2)]
    parts = [record(20 + n, "Project component deleted", by="x", item=(f"C{n}", "X")) for n in range(9)]
    old = [record(40 + n, "Project deleted", 140, by="old", item=(f"R{n}", "PROJECT")) for n in range(9)]
    found = alerts("projects-deleted", Batch((*gone, *two, *parts)), Batch(tuple(old), {"arrived": 70}))
    assert [(row["Actor"], row["Projects"]) for row in found] == [("712020:boss", 3)]
