"""The audit log of Jira Cloud: `GET /rest/api/3/auditing/record`.

Enters: a window and a key. Leaves: results with events, or a SourceError. The way of a page: source.py asks, client.py sends
one request, response.py classifies the answer, page.py parses it, mapping.py makes events, pager.py decides what to ask
next. auth.py builds the endpoint, connection_test.py tests it for an operator, config.py has the settings, input_rules.py
the form of URL and user, and allowed_hosts.py decides which hosts may get a key. May not know Kafka, or any other source.
"""

from producer.sources.contract import SourceKind
from producer.sources.jira_cloud.connection_test import open_connection_test
from producer.sources.jira_cloud.factory import open_jira_cloud
from producer.sources.jira_cloud.input_rules import INPUT_RULES
from producer.sources.jira_cloud.messages import MESSAGES
from producer.sources.jira_cloud.raw_record import parse_record

JIRA_CLOUD = SourceKind(open_jira_cloud, open_connection_test, INPUT_RULES, parse_record, MESSAGES)
