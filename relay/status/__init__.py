"""The status topic: the state of each organization, destination and process.

Enters: statuses of this process, and records of the status topic.
Leaves: status records, the statuses of former owners, and tombstones of processes that died.
It knows no metric, and not what a state means for its organization or destination.
"""
