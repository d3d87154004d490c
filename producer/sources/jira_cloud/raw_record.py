"""One record from its bytes alone, as a dead letter has them."""

from producer.events import Event, UnreadableRecord
from producer.sources.jira_cloud.broken_page import salvage_record
from producer.sources.jira_cloud.mapping import to_event


def parse_record(raw: bytes, organization: str) -> Event | UnreadableRecord:
    """Return the event of a record, as reading its page would give it. Pure."""
    return to_event(salvage_record(raw), organization)
