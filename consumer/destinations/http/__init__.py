"""HTTP: webhooks and collectors that take JSON by POST.

Enters: events in the native format or as CloudEvents, as an array, as lines, or one a request.
Leaves: one POST to a URL of the settings, signed as Standard Webhooks has it, and its outcome.
May not know: Kafka, delivery. docs/destinations/http.md is the operator's page.
"""

from consumer.destinations.contract import DestinationKind, OpenFlows
from consumer.destinations.http.config import HttpConfig, identity
from consumer.destinations.http.response import classify_status


def _open(name: str, config: HttpConfig, request_timeout_seconds: float) -> OpenFlows:
    from consumer.destinations.http.destination import open_http  # noqa: PLC0415 - see DestinationKind.open

    return open_http(name, config, request_timeout_seconds)


HTTP = DestinationKind(HttpConfig, _open, identity, classify_status)
