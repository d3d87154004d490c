"""Destinations: one folder a kind, and one line in `DESTINATIONS`, in `catalogue.py`.

Enters: rows of events, framed into one body. The contract is in `contract.py`, the outcomes are in `outcome.py`.
Leaves: one request, and its outcome.
May not know: Kafka, offsets, delivery, other destinations. docs/development/new-destination.md lists the steps.
"""
