"""Replays for tests."""

from dataclasses import replace
from typing import Any

from relay.replays.job import ReplayJob

_JOB = ReplayJob(
    "20261130-071500-ab12",
    "sentinel",
    "events",
    1_796_022_900_000,
    "ann@host",
    "running",
    1_796_022_900_000,
    "ann@host",
)


def replay_job(**changes: Any) -> ReplayJob:
    """Return a job for the destination `sentinel`, with these fields changed."""
    return replace(_JOB, **changes)
