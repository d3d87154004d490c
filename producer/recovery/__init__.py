"""Takes a shard over: loads its state from Kafka, and repairs it where Kafka has lost something.

Enters: a partition number. Leaves: a ShardPublisher whose state agrees with the event topics. `reconcile.py` is pure: stored
progress against the log. May not know polling, sources or organizations' settings.
"""
