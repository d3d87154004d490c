"""Words of accounts: what each kind of difference says, and lists of ids. Pure."""

from collections.abc import Mapping, Sequence

MAX_NAMED_IDS = 100
"""Ids that a difference of a seal names; its count is of all of them."""
MEANINGS: Mapping[str, str] = {
    "missing": "The audit log has events that Kafka lacks",
    "removed": "Kafka has events that the audit log lists no more",
    "altered": "The audit log shows other content than Kafka has",
    "deleted": "The ledger holds events that their topic lacks",
    "unrecorded": "The topic has events that their ledger lacks",
    "repeated": "The topic has events more than once",
}
"""What each kind of difference says."""


def ids_text(ids: Sequence[int]) -> str:
    """Return the first ids, and how many more there are."""
    shown = ", ".join(map(str, ids[:10]))
    return shown if len(ids) <= 10 else f"{shown} and {len(ids) - 10:,} more"


def ids_behind(ids: Sequence[int]) -> str:
    """Return ids in brackets, with a space before them; empty: there are none."""
    return f" ({ids_text(ids)})" if ids else ""
