"""Delivery: bodies in flight, until every row is accepted or a dead letter.

Enters: encoded rows with the records they were made of.
Leaves: requests to a destination, dead letters on their topic, and delivered records, which the tracker learns.
A poison row: `decoding/row_encoding.py` finds records that cannot become rows, `bisection.py` rows that the destination rejects;
`dead_letters.py` writes both to the dead-letter topic.
May not know: the assignment of partitions, how records are read and decoded, the kind of a destination.
"""
