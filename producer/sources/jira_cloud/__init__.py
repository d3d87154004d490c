"""The audit log of Jira Cloud: `GET /rest/api/3/auditing/record`.

Enters: a window and a key. Leaves: results with events, or a SourceError. The way of a page: source.py asks, client.py sends
one request, response.py classifies the answer, page.py parses it, mapping.py makes events, pager.py decides what to ask
next. auth.py builds the endpoint, connection_test.py tests it for an operator, config.py has the settings, input_rules.py
the form of URL and user, and allowed_hosts.py decides which hosts may get a key. May not know Kafka, or any other source.
"""

from contextlib import AbstractAsyncContextManager

from producer.events import Event, UnreadableRecord
from producer.sources.contract import ConnectionTest, SourceFactory, SourceKind, SourceSetup
from producer.sources.jira_cloud.config import JiraCloudConfig
from producer.sources.jira_cloud.input_rules import INPUT_RULES
from producer.sources.jira_cloud.messages import MESSAGES


def _open(setup: SourceSetup[JiraCloudConfig]) -> AbstractAsyncContextManager[SourceFactory]:
    from producer.sources.jira_cloud.factory import open_jira_cloud  # noqa: PLC0415 - see SourceKind.open

    return open_jira_cloud(setup)


def _open_connection_test(config: JiraCloudConfig) -> AbstractAsyncContextManager[ConnectionTest]:
    from producer.sources.jira_cloud.connection_test import open_connection_test  # noqa: PLC0415 - see SourceKind.open

    return open_connection_test(config)


def _parse_record(raw: bytes, organization: str) -> Event | UnreadableRecord:
    from producer.sources.jira_cloud.raw_record import parse_record  # noqa: PLC0415 - see SourceKind.open

    return parse_record(raw, organization)


JIRA_CLOUD = SourceKind(_open, _open_connection_test, INPUT_RULES, _parse_record, MESSAGES)
