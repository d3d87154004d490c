"""Targets: whose events a destination's groups carry. The topic of destinations holds one claim for each name.

Enters: the settings that identify a target, and the claim of the topic.
Leaves: whether this process may be a member of the destination's groups.
May not know: how events are read and delivered.
"""
