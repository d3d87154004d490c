"""Microsoft's own Jira solution on the relay's rows: its conditions, stated in the tests' own words, find the events they are made for.

Solutions/AtlassianJiraAudit in Azure/Azure-Sentinel at c5ceb130, 8b608a71, 51be4ea9, 0292f3c2 and c3b99ac4. Not a sentence of it is
here: the facts are the words that it compares, the columns that it reads, and how it reads them.
"""

from dataclasses import dataclass
from functools import lru_cache

from simulators.jira_cloud.record_kinds import KINDS
from simulators.jira_cloud.records import RecordGenerator
from tests.deploy.test_azure_template import PARSER
from tests.support.azure_workspace import Workspace, iso

SOLUTION = f"function JiraAudit() {{ Jira_Audit_v2_CL | project {', '.join(PARSER)} }}"
USER = "tostring(todynamic(AssociatedItems)[0]['name'])"
OBJECT = ("EventCreationTime", "ObjectItemName")
ACTOR = ("UserName", "SrcIpAddr")


@dataclass(frozen=True)
class Reads:
    """The conditions of a rule or query: summaries, the object's name and type, and the columns that it shows."""

    summaries: tuple[str, ...]
    columns: tuple[str, ...] = OBJECT
    name: str | None = None
    kind: str | None = None
    exact_case: bool = False

    def condition(self):
        words = ", ".join(f'"{each}"' for each in self.summaries)
        conditions = [f"EventMessage {'in' if self.exact_case else 'in~'} ({words})"]
        conditions += [f"ObjectItemName =~ '{self.name}'"] if self.name else []
        conditions += [f"ObjectItemTypeName =~ '{self.kind}'"] if self.kind else []
        return " and ".join(conditions)

    def kql(self):
        shown = ", ".join(f"C{number} = {column}" for number, column in enumerate(self.columns))
        return f"JiraAudit | where {self.condition()} | project EventId, {shown}"

    def matches(self, record):
        item = record.get("objectItem", {})
        return (
            record["summary"] in self.summaries
            and (self.name or item.get("name")) == item.get("name")
            and (self.kind or item.get("typeName")) == item.get("typeName")
        )


ALL = (*OBJECT, *ACTOR, "ChangedValues", "AssociatedItems")
CONTENT = {
    "JiraGlobalPermissionAdded": Reads(("Global permission added",), (*OBJECT, *ACTOR, "ChangedValues")),
    "JiraNewPrivilegedUser": Reads(("User added to group",), (USER,), name="site-admins"),
    "JiraNewUser": Reads(("User created",), (*OBJECT, *ACTOR, "AssociatedItems"), kind="USER"),
    "JiraPermissionSchemeUpdated": Reads(("Permission scheme updated",), (*OBJECT, *ACTOR, "ChangedValues")),
    "JiraProjectRolesChanged": Reads(("Project roles changed",), (*OBJECT, *ACTOR, "AssociatedItems")),
    "JiraUserPasswordChange": Reads(("User's password changed",), (USER, "SrcIpAddr")),
    "JiraUserRemovedFromGroup": Reads(("User removed from group",), (USER, *OBJECT)),
    "JiraUserRemovedFromProject": Reads(("User removed from project",), (USER, *OBJECT)),
    "JiraWorkflowSchemeCopied": Reads(("Workflow scheme copied",), (USER, *OBJECT, *ACTOR)),
    "JiraBlockedTasks": Reads(
        ("Status updated", "Status created"), ("ObjectItemName",), "Blocked", "STATUS", exact_case=True
    ),
    "JiraProjectVersionsReleased": Reads(("Project version released",), (*OBJECT, "UserName", "AssociatedItems")),
    "JiraUpdatedProjectVersions": Reads(("Project version created",), ALL),
    "JiraUpdatedProjects": Reads(("Project updated",), (*OBJECT, *ACTOR, "ChangedValues")),
    "JiraUpdatedUsers": Reads(("User updated",), (*OBJECT, "ChangedValues", "AssociatedItems")),
    "JiraUpdatedWorkflowSchemes": Reads(("Workflow scheme updated",), (*OBJECT, *ACTOR)),
    "JiraUpdatedWorkflows": Reads(("Workflow updated",), (*OBJECT, *ACTOR)),
    "JiraWorkflowAddedToProject": Reads(
        ("Workflow scheme added to project",), (*OBJECT, "UserName", "AssociatedItems")
    ),
}  # fmt: skip
"""JiraPrivilegedUserPasswordChanged and JiraUserIPs have tests of their own below."""

CATEGORIES = {"user management", "projects", "group management", "workflows", "permissions", "status"}
"""The values of EventCategoryType that the workbook counts."""


@lru_cache
def records():
    """Return simulated records, each kind at least five times, with an author and an address each."""
    generator = RecordGenerator("Microsoft")
    made = [generator.generate(summary) for summary in KINDS for _ in range(5)]
    for number, record in enumerate(made, 1):
        record |= {"id": number, "created": iso(6 + number / 10)}
        record |= {"remoteAddress": "203.0.113.7", "authorKey": "ug:boss", "authorAccountId": "712020:boss"}
    return made


@lru_cache
def workspace():
    stored = Workspace()
    stored.add(*records())
    return stored


def ask(kql):
    return workspace().query(kql, functions=[SOLUTION])


def test_each_condition_finds_its_events_and_fills_its_columns():
    """For each rule and hunting query, exactly the records it is made for are found, and no column that it shows is empty."""
    conditions = ", ".join(f"{name} = {reads.condition()}" for name, reads in CONTENT.items())
    columns = sorted({column for reads in CONTENT.values() for column in reads.columns})
    empty = ", ".join(f"E{number} = isempty(tostring({column}))" for number, column in enumerate(columns))
    rows = ask(f"JiraAudit | project EventId, {conditions}, {empty}")
    for name, reads in CONTENT.items():
        found = [row for row in rows if row[name]]
        assert [row["EventId"] for row in found] == [each["id"] for each in records() if reads.matches(each)]
        assert found, name
        assert not any(row[f"E{columns.index(column)}"] for row in found for column in reads.columns), name


def test_a_password_of_an_administrator_that_changes_is_found():
    """JiraPrivilegedUserPasswordChanged: the user of a new site administrator is the user whose password changed."""
    stored, generator = Workspace(), RecordGenerator("password")
    user = {"id": "ug:eve", "name": "ug:eve", "typeName": "USER"}
    pair = [generator.generate("User added to group"), generator.generate("User's password changed")]
    pair[0]["objectItem"]["name"] = "site-admins"
    for number, record in enumerate(pair, 1):
        record |= {"id": number, "created": iso(60 * number), "associatedItems": [user]}
    stored.add(*pair, arrived=600)
    found = stored.query(
        f"""let Privileged = JiraAudit
    | where EventMessage =~ "User added to group" and ObjectItemName =~ "site-admins"
    | distinct User = {USER};
JiraAudit
| where EventMessage =~ "User's password changed"
| extend User = {USER}
| join kind=inner (Privileged) on User
| project User""",
        14 * 1_440,
        [SOLUTION],
    )
    assert found == [{"User": "ug:eve"}]


def test_addresses_of_users_and_categories_are_there():
    """JiraUserIPs reads address and user; the workbook reads each of its categories and the types PROJECT and WORKFLOW."""
    rows = ask(
        "JiraAudit | summarize Rows = count(), Addresses = dcount(SrcIpAddr), Users = dcount(UserName)"
        " by EventCategoryType, ObjectItemTypeName"
    )
    assert {row["EventCategoryType"] for row in rows} >= CATEGORIES
    assert {("projects", "PROJECT"), ("workflows", "WORKFLOW")} <= {
        (row["EventCategoryType"], row["ObjectItemTypeName"]) for row in rows
    }
    assert {(row["Addresses"], row["Users"]) for row in rows} == {(1, 1)}
