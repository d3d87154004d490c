"""The status topic: the state of each organization, destination and process.

Enters: statuses of this process, and records of the status topic.
Leaves: status records, the statuses of former owners, and tombstones of processes that died.
It knows no metric, and not what a state means for its organization or destination.
The texts of reasons are beside their causes: `producer/status_reporter.py`, `producer/sources/errors.py`, `consumer/status_reporter.py`, `consumer/targets/guard.py`,
`consumer/delivery/{defects,dead_letters}.py`, `consumer/assignment/{start_offset_texts,losses,schema_hold}.py`.
"""
