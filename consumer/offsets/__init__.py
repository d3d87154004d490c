"""Offsets: the delivered records of each partition, and their commit.

Enters: records in the order of their reading, and delivered records in any order.
Leaves: committed offsets with the ranges delivered ahead of them.
May not know: rows, requests, destinations.
"""
