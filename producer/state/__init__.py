"""The committed state of a shard, as values: checkpoints, ledgers, covered ranges, and the mode of an event.

Enters: records of the progress topic, and plans. Leaves: values to decide by, and records to write. All of it is pure, and
covered whole by tests. May not know Kafka or sources; the caller passes the time.
"""
