"""Destinations: one folder a kind, and one line in `DESTINATIONS`.

Enters: rows of events, framed into one body. The contract is in `contract.py`, the outcomes are in `outcome.py`.
Leaves: one request, and its outcome.
May not know: Kafka, offsets, retries, other destinations. docs/development/new-destination.md lists the steps.
"""

from consumer.destinations.contract import Kinds
from consumer.destinations.sentinel import SENTINEL

DESTINATIONS: Kinds = {
    "sentinel": SENTINEL,
}
"""Kind: its settings and how to open it. Settings, check, pipelines and the contract suite read this table."""
