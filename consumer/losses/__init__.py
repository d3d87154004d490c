"""Losses: the offsets that Kafka deleted before a destination accepted their events, kept until they are refilled or dismissed.

Enters: a range of offsets, when a reader finds that the log begins after its position.
Leaves: a record of each range on the topic of destinations, and the sentence that names the command which repairs it.
May not know: how events are read and delivered.
"""
