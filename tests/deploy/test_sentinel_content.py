"""The form of the content for Microsoft Sentinel: fields, names and limits, as Sentinel refuses or misreads others."""

import re
import uuid
from pathlib import Path

import pytest

from tests.support.sentinel_content import columns_of, load, minutes

RULES, HUNTING = load("rules"), load("hunting")
PAGE = Path(__file__).parents[2] / "docs/destinations/sentinel-content.md"
TACTICS = {
    "Reconnaissance", "ResourceDevelopment", "InitialAccess", "Execution", "Persistence", "PrivilegeEscalation",
    "DefenseEvasion", "CredentialAccess", "Discovery", "LateralMovement", "Collection", "Exfiltration",
    "CommandAndControl", "Impact",
}  # fmt: skip
# Tactics of each technique, of which Sentinel wants one: https://attack.mitre.org/techniques/enterprise
TACTICS_OF = {
    "T1070": {"DefenseEvasion"},
    "T1078": {"InitialAccess", "Persistence", "PrivilegeEscalation", "DefenseEvasion"},
    "T1098": {"Persistence", "PrivilegeEscalation"},
    "T1110": {"CredentialAccess"},
    "T1136": {"Persistence"},
    "T1176": {"Persistence"},
    "T1213": {"Collection"},
    "T1222": {"DefenseEvasion"},
    "T1484": {"DefenseEvasion", "PrivilegeEscalation"},
    "T1485": {"Impact"},
    "T1490": {"Impact"},
    "T1528": {"CredentialAccess"},
    "T1531": {"Impact"},
    "T1556": {"CredentialAccess", "DefenseEvasion", "Persistence"},
    "T1562": {"DefenseEvasion"},
    "T1567": {"Exfiltration"},
    "T1654": {"Discovery"},
}
# Fields of each entity: https://learn.microsoft.com/azure/sentinel/entities-reference
IDENTIFIERS = {
    "Account": {"Name", "FullName", "Sid", "AadUserId", "DisplayName"},
    "IP": {"Address"},
    "CloudApplication": {"AppId", "Name", "InstanceName"},
}
FIELDS = [
    "id", "name", "description", "severity", "requiredDataConnectors", "queryFrequency", "queryPeriod", "triggerOperator",
    "triggerThreshold", "tactics", "relevantTechniques", "query", "entityMappings", "customDetails", "alertDetailsOverride",
    "eventGroupingSettings", "version", "kind",
]  # fmt: skip


def test_ids_and_names_are_unique():
    """Each rule and query has an id of its own, which Sentinel updates it by, and a name of its own."""
    every = [*RULES.values(), *HUNTING.values()]
    assert len({str(uuid.UUID(each["id"])) for each in every}) == len({each["name"] for each in every})
    assert (len(RULES), len(HUNTING), len({each["id"] for each in every})) == (19, 8, 27)


@pytest.mark.parametrize("content", [*RULES.values(), *HUNTING.values()], ids=lambda each: each["name"])
def test_content_has_the_form_of_sentinel(content):
    """Tactics, techniques, entities and lengths are those that Sentinel knows; names are in sentence case."""
    assert set(content["tactics"]) <= TACTICS
    assert content["tactics"]
    assert all(TACTICS_OF[each] & {*content["tactics"]} for each in content["relevantTechniques"])
    assert re.fullmatch(r"[A-Z].{9,49}", content["name"])
    assert re.fullmatch(r"[A-Z].{20,}\.\n", content["description"], re.DOTALL)
    assert len(content["query"]) <= 10_000
    assert len(content.get("entityMappings", ())) <= 10
    for entity in content.get("entityMappings", ()):
        named = {each["identifier"] for each in entity["fieldMappings"]}
        assert named <= IDENTIFIERS[entity["entityType"]]
        assert len(named) <= 3


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_a_rule_can_be_scheduled(rule):
    """A rule has each field, a period that Sentinel accepts, and details within its limits."""
    frequency, period = minutes(rule["queryFrequency"]), minutes(rule["queryPeriod"])
    assert list(rule) == FIELDS
    assert 5 <= frequency <= period <= minutes("14d")
    assert frequency >= 60 or period < minutes("2d")
    assert rule["severity"] in {"Informational", "Low", "Medium", "High"}
    assert (rule["kind"], rule["triggerOperator"], rule["triggerThreshold"]) == ("Scheduled", "gt", 0)
    assert len(rule["customDetails"]) <= 20
    (shown,) = rule["alertDetailsOverride"].values()
    assert len(re.findall(r"\{\{", shown)) <= 3
    assert columns_of(rule)


@pytest.mark.parametrize("slug", [slug for slug in RULES if not slug.startswith("relay-")])
def test_a_rule_reads_live_and_late_events_alone(slug):
    """Backfill and replays raise no alert, and a rule that looks back alerts for new arrivals alone."""
    query = RULES[slug]["query"]
    assert 'EventMode in ("live", "late") and isempty(ReplayId)' in query
    if RULES[slug]["queryPeriod"] != RULES[slug]["queryFrequency"]:
        assert "ago(1h)" in query
        assert RULES[slug]["queryFrequency"] == "1h"


def test_the_page_has_a_row_for_each_rule_and_query():
    """The page says what each rule and query finds, in the words of its file, and why Microsoft's rules miss it."""
    tables = PAGE.read_text("utf-8").split("## Analytic rules", 1)[1]
    rows = re.findall(r"^\| `([a-z-]+)` \| (.*) \|$", tables, re.MULTILINE)
    rules = {slug: f"{rule['severity']} | {first_line(rule)} |" for slug, rule in RULES.items()}
    expected = rules | {slug: first_line(query) for slug, query in HUNTING.items()}
    assert [slug for slug, _ in rows] == [*RULES, *HUNTING]
    assert [slug for slug, text in rows if not text.startswith(expected[slug])] == []
    assert all(len(text.removeprefix(rules[slug]).strip()) > 20 for slug, text in rows if slug in rules)


def first_line(content):
    return content["description"].split("\n", 1)[0]
