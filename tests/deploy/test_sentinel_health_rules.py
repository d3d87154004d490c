"""The relay's own analytic rules for its health, on rows that the relay makes of Jira's records."""

from tests.support.audit_records import record
from tests.support.azure_workspace import OTHER_TABLES, Workspace, iso
from tests.support.sentinel_content import Batch, alerts, load

BUSY, SLOW = "busy.atlassian.net", "slow.atlassian.net"
HOUR, DAY = 60, 1_440


def days(organization, *ages):
    return [
        Batch(
            (record(number, "Project updated", age * DAY + HOUR),),
            {"organization": organization, "arrived": age * DAY + HOUR - 1},
        )
        for number, age in enumerate(ages)
    ]


def test_an_organization_that_falls_silent_is_found():
    """An organization with events on each day counts after 24 hours, whatever a replay sends; one with events today or on weekdays does not."""
    found = alerts(
        "relay-organization-silent",
        *days(BUSY, *range(1, 14)),
        *days(SLOW, *(age for age in range(1, 14) if age not in {3, 4, 10, 11})),
        *days("acme.atlassian.net", *range(14)),
        Batch((record(99, "Project updated", DAY),), {"organization": BUSY, "replay": "job-9"}),
    )
    assert [(row["Organization"], row["Days"]) for row in found] == [(BUSY, 13)]


def test_late_delivery_is_found():
    """Live events count that waited for an hour between collection and arrival; late records and fresh ones do not."""
    found = alerts(
        "relay-late",
        Batch((record(1, "Project updated", 200),), {"organization": SLOW, "collected": 190, "arrived": 5}),
        Batch((record(2, "Project updated", 9),), {"organization": SLOW, "collected": 6, "arrived": 5}),
        Batch((record(3, "Project updated", 9_000),), {"mode": "late", "collected": 6, "arrived": 5}),
    )
    ((organization, late, delay),) = [
        (row["Organization"], row["Late"], row["LongestDelaySeconds"]) for row in found
    ]
    assert (organization, late, delay) == (SLOW, 1, 185 * 60)


def test_a_restored_site_is_found():
    """Records with a variant in EventUid count."""
    found = alerts(
        "relay-site-restored",
        Batch((record(1, "Project updated"), record(2, "Project updated")), {"variant": "77"}),
        Batch((record(3, "Project updated"),), {"organization": BUSY}),
    )
    assert [(row["Organization"], row["Records"]) for row in found] == [("acme.atlassian.net", 2)]


def test_rows_that_azure_refuses_are_found():
    """Errors of the relay's streams count, and those of another rule do not."""
    workspace = Workspace()
    row = {"TimeGenerated": iso(5), "OperationName": "Transformation", "Message": "InvalidTransform"}
    workspace.add_rows("DCRLogErrors", row | {"InputStreamId": "Custom-JiraAuditRelayHistory"})
    workspace.add_rows("DCRLogErrors", row | {"InputStreamId": "Custom-Firewall"})
    found = workspace.query(load("rules")["relay-rows-lost-in-azure"]["query"])
    assert [(each["Stream"], each["Errors"]) for each in found] == [("Custom-JiraAuditRelayHistory", 1)]


def test_dead_letters_are_found_in_the_logs():
    """The lines of consumer and producer count, whether Container Insights parsed the JSON or not."""
    workspace = Workspace()
    consumer = {
        "message": "Record became a dead letter. See `jira-relay dead-letters list`.",
        "destination": "splunk",
    }
    producer = {
        "message": "A record became a dead letter. See `jira-relay dead-letters list`.",
        "organization": BUSY,
    }
    other = {"message": "Redrive of a dead letter ended.", "destination": "splunk"}
    for line in (consumer, consumer, producer, other):
        workspace.add_rows("ContainerLogV2", {"TimeGenerated": iso(5), "PodName": "p", "LogMessage": line})
    found = workspace.query(load("rules")["relay-dead-letters"]["query"])
    assert sorted((each["Place"], each["Records"]) for each in found) == [(BUSY, 1), ("splunk", 2)]


def test_tables_that_azure_makes_later_may_be_absent():
    """Before the first error of a rule, and without Container Insights, a workspace lacks the table: the rule finds nothing."""
    for slug in ("relay-rows-lost-in-azure", "relay-dead-letters"):
        query = load("rules")[slug]["query"]
        for table in OTHER_TABLES:
            query = query.replace(f", {table}", ", Absent")
        assert Workspace().query(query) == []
