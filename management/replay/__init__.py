"""Replays as an operator starts, watches and ends them.

In: what an operator asks for, and the topics. Out: the record of a job on the topic of replays, and views of all jobs. The
consumers of the destination do the work; this room reads the events for counts alone, and sends nothing.
"""
