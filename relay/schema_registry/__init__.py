"""Schemas of the event topics, in a schema registry or on the topic `….schemas`.

Enters: references from messages, the schema of events, the registry's settings.
Leaves: schemas for readers, the encoder of events, reports on subjects.
It decodes no event, and knows no consumer group and no transaction.
"""
