"""The names of the consumer groups of a destination, and the flows that have one."""

from typing import Literal

PipelineFlow = Literal["live", "history", "older"]
"""`older`: the events of the live topic that were older than an hour at the first start; they go to history, once."""


def group_name(topic_prefix: str, destination: str, flow: PipelineFlow) -> str:
    """Return the group that reads a flow of a destination."""
    return f"{topic_prefix}.{destination}" if flow == "live" else f"{topic_prefix}.{destination}.{flow}"


def replays_group(topic_prefix: str, destination: str) -> str:
    """Return the group whose member runs the replays of a destination."""
    return f"{topic_prefix}.{destination}.replays"
