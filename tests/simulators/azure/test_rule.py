import pytest

from simulators.azure.arm import Deployment, DeploymentError, load_template
from simulators.azure.kusto import KqlError, coerce, parse_transform
from simulators.azure.rule import SilentLosses, deploy_rule

STREAM = "Custom-JiraAuditRelay"
LIVE = "Jira_Audit_v2_CL"
NOW = "2026-11-23T10:00:00.000Z"


def deploy(existing=None, **parameters):
    given = {"workspaceName": "w", "principalId": "p", **parameters}
    return deploy_rule(Deployment(load_template(), given), existing or {})


def store_value(subject, **columns):
    subject.store(STREAM, [columns], "request", NOW)
    return subject.tables()[LIVE].stored_rows[-1].row


@pytest.mark.parametrize(
    ("kind", "value", "kept"),
    [
        ("string", "x", "x"),
        ("string", 5, "5"),
        ("string", True, "true"),
        ("string", {"a": ["ä"]}, '{"a":["ä"]}'),
        ("int", 2**31 - 1, 2**31 - 1),
        ("int", 2**31, None),
        ("int", -(2**31), -(2**31)),
        ("long", 2**63 - 1, 2**63 - 1),
        ("long", 2**63, None),
        ("long", " 12 ", 12),
        ("long", "12x", None),
        ("long", 1.5, None),
        ("long", True, None),
        ("real", "1.5", 1.5),
        ("real", [], None),
        ("boolean", "TRUE", True),
        ("boolean", "yes", None),
        ("boolean", 0, False),
        ("dynamic", [{"a": None}], [{"a": None}]),
        ("datetime", "2025-05-01T01:36:46.173Z", "2025-05-01T01:36:46.173Z"),
        ("datetime", "2025-05-01T03:36:46.1734567+02:00", "2025-05-01T01:36:46.1734567Z"),
        ("datetime", "0001-01-01T00:00:00.000Z", "0001-01-01T00:00:00.000Z"),
        ("datetime", "2025-05-01 01:36", "2025-05-01T01:36:00.000Z"),
        ("datetime", "2025-05-01", "2025-05-01T00:00:00.000Z"),
        ("datetime", "2025-05-01T01:36:46.173+0000", None),
        ("datetime", "2025-02-30T00:00:00Z", None),
        ("datetime", 1746063406173, None),
        ("datetime", "", None),
        ("long", None, None),
    ],
)
def test_a_value_that_does_not_fit_its_column_is_null(kind, value, kept):
    """A value that a column's type cannot hold is stored as null, without an error."""
    assert coerce(value, kind) == kept


def test_a_transform_assigns_and_casts():
    """`extend` supports now, casts and paths, and the types of its columns are known before a row is sent."""
    columns = {"id": "long", "item": "dynamic", "text": "string"}
    kql = "source | extend At = now(), id = toint(tostring(id)), Name = item.name, When = todatetime(text)"
    compiled = parse_transform(kql, columns)
    assert compiled.columns == columns | {
        "At": "datetime",
        "id": "int",
        "Name": "dynamic",
        "When": "datetime",
    }
    row = {"id": 7, "item": {"name": "x"}, "text": "2025-05-01"}
    compiled(row, NOW)
    assert (row["At"], row["id"], row["Name"], row["When"]) == (NOW, 7, "x", "2025-05-01T00:00:00.000Z")
    absent = {}
    compiled(absent, NOW)
    assert (absent["id"], absent["Name"], absent["When"]) == (None, None, None)


@pytest.mark.parametrize(
    "kql",
    [
        "source | where id > 1",
        "source | extend A = other",
        "source | extend A = text.name",
        "source | extend A = strcat(text, text)",
        "source | extend A = 1 | extend B = 2",
        "Jira_Audit_v2_CL | extend A = now()",
    ],
)
def test_an_unknown_transform_is_refused(kql):
    """A transform with an operator that is not simulated raises KqlError."""
    with pytest.raises(KqlError):
        parse_transform(kql, {"id": "long", "text": "string"})


def test_losses_behind_a_204_are_counted():
    """Dropped columns, values that become null and truncated values are counted by column."""
    subject = deploy()
    row = store_value(
        subject,
        EventId="x",
        CollectedTime="2025-05-01T01:36:46.173+0000",
        EventMessage="é" * 40_000,
        ChangedValues=[{"changedTo": "x" * 70_000}],
        Surprise=1,
        TimeGenerated="2020-01-01T00:00:00Z",
    )
    assert (row["EventId"], row["CollectedTime"], row["TimeGenerated"]) == (None, None, NOW)
    assert row["EventMessage"] == "é" * 32_768
    assert len(row["ChangedValues"]) == 65_536
    assert "Surprise" not in row
    assert subject.losses == SilentLosses(
        dropped={f"{LIVE}.Surprise": 1, f"{LIVE}.TimeGenerated": 1},
        nulled={f"{LIVE}.EventId": 1, f"{LIVE}.CollectedTime": 1},
        truncated={f"{LIVE}.EventMessage": 1, f"{LIVE}.ChangedValues": 1},
    )


def test_a_value_of_64_kilobytes_is_kept():
    """A value of exactly 65,536 bytes is not truncated."""
    subject = deploy()
    assert store_value(subject, EventMessage="x" * 65_536)["EventMessage"] == "x" * 65_536
    assert store_value(subject, ChangedValues=["é" * 32_766])["ChangedValues"] == ["é" * 32_766]
    assert subject.losses == SilentLosses()


def test_a_table_with_int_ids_keeps_small_ids_only():
    """From 2^31 on EventId is null, and EventUid keeps the id."""
    subject = deploy(liveEventIdType="int")
    assert store_value(subject, EventId=2**31 - 1)["EventId"] == 2**31 - 1
    row = store_value(subject, EventId=2**31, EventUid=f"acme/{2**31}")
    assert (row["EventId"], row["EventUid"]) == (None, "acme/2147483648")


def test_dynamic_object_columns_are_filled_from_the_object():
    """The ObjectItem columns are filled if they are dynamic, as in the first version of Microsoft's table."""
    row = store_value(deploy(liveObjectItemType="dynamic"), objectItem={"id": "10", "name": "site-admins"})
    assert (row["ObjectItemId"], row["ObjectItemName"], row["ObjectItemParentId"]) == (
        "10",
        "site-admins",
        None,
    )


@pytest.mark.parametrize(
    ("problem", "existing", "parameters"),
    [
        ("no table", {}, {"createLiveTable": False}),
        (
            r"InvalidTransformOutput: .* EventId \[produced:'Long', output:'Int'\]",
            {LIVE: {"EventId": "int"}},
            {"createLiveTable": False},
        ),
        ("EventId cannot be changed", {LIVE: {"EventId": "int"}}, {}),
        ("no such parameters", {}, {"liveEventType": "int"}),
        ("allowed are", {}, {"liveEventIdType": "guid"}),
        ("must be a bool", {}, {"createLiveTable": "false"}),
    ],
)
def test_a_deployment_that_azure_would_refuse_is_refused(problem, existing, parameters):
    """Missing tables, changed or mismatched types and wrong parameters raise DeploymentError."""
    with pytest.raises(DeploymentError, match=problem):
        deploy(existing, **parameters)


def test_a_rule_that_does_not_depend_on_its_tables_is_refused():
    """Without dependsOn the deployment is refused, since Azure often refuses it with InvalidOutputTable."""
    text = load_template()
    (entry,) = [
        resource for resource in text["resources"] if resource["type"].endswith("dataCollectionRules")
    ]
    entry["dependsOn"].pop()
    with pytest.raises(DeploymentError, match="InvalidOutputTable"):
        deploy_rule(Deployment(text, {"workspaceName": "w", "principalId": ""}), {})


@pytest.mark.parametrize("text", ["[concat('a'", "[nothing()]x]", "[unknown('a')]", "[concat('a', )]", "[#]"])
def test_an_unreadable_expression_is_refused(text):
    """An expression that the simulator cannot parse raises DeploymentError."""
    given = {"workspaceName": "w", "principalId": ""}
    with pytest.raises(DeploymentError):
        Deployment(load_template(), given).evaluate(f"{text}]" if not text.endswith("]") else text)
