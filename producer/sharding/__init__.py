"""Gives each partition of the consumer group a shard, and each organization in it a poller.

Enters: assignments of the group, and records of the organizations topic. Leaves: running shards, reloaded after each
failure. `hanging_transactions.py` finds transactions without end markers, also while nobody publishes.
May not know how an organization is polled, a shard is loaded, or events are published: those are handed in.
"""
