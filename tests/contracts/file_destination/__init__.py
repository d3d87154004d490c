"""A destination kind that exists to try the contract: it appends rows as lines to a file.

Enters: events in the native format, as lines.
Leaves: lines in `live.jsonl` or `history.jsonl` of a spool directory; the other files of the directory are its answers.
May not know: Kafka, retries.
"""

from consumer.destinations.contract import DestinationKind
from tests.contracts.file_destination.config import FileConfig, identity
from tests.contracts.file_destination.destination import open_file
from tests.contracts.file_destination.response import classify_status

FILE = DestinationKind(FileConfig, open_file, identity, classify_status, request_timeout_seconds=5.0)
