"""Documents of ECS, as the destinations write them."""

import polars as pl

from consumer.formats.ecs import ecs_document, with_ecs_columns
from consumer.formats.replay_mark import is_replayed


def ecs_documents(events: pl.DataFrame) -> pl.Series:
    """Write each event as one JSON object; members that are null are left out."""
    return with_ecs_columns(events).select(ecs_document(replayed=is_replayed(events))).to_series()
