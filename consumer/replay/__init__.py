"""Replays: jobs that deliver events again.

Enters: jobs of the topic `….replays`, records of the event topics, of an archive, or of the dead-letter topic.
Leaves: bodies to a destination, dead letters, and the progress of each job.
It commits no offset of a consumer group: the places of a job are in its own progress record.
"""
