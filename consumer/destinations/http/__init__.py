"""HTTP: webhooks and collectors that take JSON by POST.

Enters: events in the native format or as CloudEvents, as an array, as lines, or one a request.
Leaves: one POST to a URL of the settings, signed as Standard Webhooks has it, and its outcome.
May not know: Kafka, delivery. docs/destinations/http.md is the operator's page.
"""

from consumer.destinations.contract import DestinationKind
from consumer.destinations.http.config import HttpConfig, identity
from consumer.destinations.http.destination import open_http
from consumer.destinations.http.response import classify_status

HTTP = DestinationKind(HttpConfig, open_http, identity, classify_status)
