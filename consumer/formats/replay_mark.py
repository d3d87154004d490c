"""The mark of a replay: the mode of its rows, and the id of the job that sends them again.

A frame of live events or of history has no column REPLAY_ID, so its rows cost nothing more. Each format writes the id where a
frame has the column.
"""

import polars as pl

REPLAY_ID = "replay_id"
"""A column beside those of schemas/audit_event.avsc: the id of the replay job as text. No event in Kafka has it."""
REPLAY_MODE = "replay"
"""The mode of rows that go to the target of history. schemas/audit_event.avsc has no such mode."""


def mark_replayed(frame: pl.DataFrame, replay_id: str, *, keep_mode: bool = False) -> pl.DataFrame:
    """Return the events with the column REPLAY_ID, the last one, and with the mode REPLAY_MODE unless `keep_mode`.

    `keep_mode`: the rows go to the target of live events, whose queries select by mode.
    """
    replayed = pl.lit(replay_id).alias(REPLAY_ID)
    if keep_mode:
        return frame.with_columns(replayed)
    return frame.with_columns(pl.lit(REPLAY_MODE).alias("mode"), replayed)


def is_replayed(frame: pl.DataFrame) -> bool:
    """Return whether the rows are those of a replay: a frame has rows of one job, or of none."""
    return REPLAY_ID in frame.columns
