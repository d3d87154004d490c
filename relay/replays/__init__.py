"""Replays: what management asks for, and how far consumers and producers have come with it.

Enters and leaves: jobs and their progress, as records of the topic `….replays`.
It knows no destination and no source; `consumer/replay/` runs the jobs.
"""
