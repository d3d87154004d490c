"""The labels that name the product of a source to a destination. An event does not name its source yet, so all are Jira's.

docs/development/new-source.md says what a second source changes. Templates in deploy/ repeat some of them.
"""

PRODUCT, VENDOR = "Jira", "Atlassian"

CLOUDEVENTS_TYPE = "com.atlassian.jira.audit.v1"

ECS_MODULE = "atlassian_jira"
ECS_DATASET = "atlassian_jira.audit"
"""Module and dataset of Elastic's own integration for Atlassian Jira."""
ECS_OBJECT = "jira"
"""The object of a document that has the record's own fields."""

ELASTICSEARCH_INDEX = f"logs-{ECS_DATASET}-default"
ELASTICSEARCH_HISTORY_INDEX = "jira-audit-history"

OTLP_EVENT_NAME = "jira.audit"
OTLP_NAMESPACE = "jira"
"""The first part of the attributes that have the record's own fields."""

SECURITY_LAKE_ACCOUNT = "external_jira"

SENTINEL_PRODUCT = "Jira Audit"
SENTINEL_STREAM = "Custom-JiraAuditRelay"
SENTINEL_TABLES = ("Jira_Audit_v2_CL", "Jira_Audit_History_CL")
"""Tables that deploy/azure makes: Microsoft's own for live events, and one for history."""
SENTINEL_HISTORY_STREAM = "Custom-JiraAuditRelayHistory"
SENTINEL_ASIM_STREAM = "Custom-JiraAuditRelayAsim"
SENTINEL_ASIM_HISTORY_STREAM = "Custom-JiraAuditRelayAsimHistory"

SPLUNK_SOURCETYPE = "jira:cloud:audit:log"
