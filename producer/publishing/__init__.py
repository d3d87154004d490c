"""Puts the new among the pending records into Kafka, exactly once.

Enters: pending records of a window, and the change of the checkpoint. Leaves: one transaction after another, each with
events, dead letters, ledgers and checkpoint. `transaction.py` decides the content and is pure; `publisher.py` has the lock,
one way out of an unknown outcome, and the state after commit. May not know sources, polling, or how a shard is loaded.
"""
