"""Assignment: the partitions of one pipeline, from their assignment to their release.

Enters: partitions and records from the consumer group.
Leaves: rows for delivery, and commits through `consumer.offsets`.
May not know: the kind of a destination, other pipelines.
"""
