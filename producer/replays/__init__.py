"""Replays: the windows that the producers read from the source again, each for one destination.

Enters: the jobs on the topic of replays.
Leaves: which window of an organization is to be read now, and a report of how far it is.
May not know: sources, ledgers, transactions.
"""
