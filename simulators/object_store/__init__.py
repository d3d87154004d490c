"""Simulated S3, as far as a writer of objects meets it.

Enters: requests signed with version 4, by path-style addresses.
Leaves: answers as S3 documents them, and the objects that were stored.
May not know: any code of the relay.
"""
