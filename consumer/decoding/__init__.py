"""Decoding: records to rows.

Enters: records of an event topic, and the schemas that they were written with.
Leaves: encoded rows of a destination, the records a filter left out, and the records that cannot be read, with the reason.
May not know: groups, committed offsets, requests, the kind of a destination.
"""
