"""Delivery: bodies in flight, until every row is accepted or a dead letter.

Enters: encoded rows with the records they were made of.
Leaves: requests to a destination, dead letters on their topic, and delivered records, which the tracker learns.
May not know: partitions and their assignment, decoding, the kind of a destination.
"""
