"""Decides which window of an organization to read next, and hands the results to the publisher.

Enters: an organization, its Source, its checkpoint. Leaves: pending records with the change of the checkpoint, and status.
Loops share one context: live rounds, re-reads for late records, backfill, gaps, unread ranges. `window.py` is pure: windows and cursors.
May not know any one source, paging, Kafka or ledgers: it knows the Source contract, PendingRecords and publish().
"""
