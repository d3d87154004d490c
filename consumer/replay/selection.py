"""The events of a job: one mask for the run and for the dry run, so that their counts agree."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from operator import and_

import polars as pl

from consumer.decoding.event_rules import compile_rules
from consumer.decoding.event_schema import EVENT_COLUMNS
from consumer.decoding.row_encoding import Selector
from consumer.destinations.contract import DestinationConfig
from consumer.formats.filter import FilterError, compile_filter
from relay.errors import RelayError, sentence
from relay.kafka import Record
from relay.replays.job import ReplayJob


class ReplayConditionError(RelayError):
    """The condition of a job cannot be a filter: the job can never run. The text ends with the correction."""


@dataclass(frozen=True, slots=True)
class Selection:
    """Which records a job delivers."""

    select: Selector | None
    """A mask of decoded events; None: every event."""
    organizations: frozenset[bytes] = frozenset()
    """The keys of the records that may be of the job; empty: every key."""

    def left_out(self, records: Sequence[Record]) -> frozenset[int]:
        """Return the indices of the records of other organizations, which need not be decoded."""
        if not self.organizations:
            return frozenset()
        return frozenset(
            index for index, each in enumerate(records) if (each.key or b"") not in self.organizations
        )


def compile_selection(job: ReplayJob, name: str, config: DestinationConfig) -> Selection:
    """Return what the job asks for and the destination `name` receives.

    Raises ReplayConditionError for the condition of the job, and SettingsError for the filter of the destination.
    """
    own = compile_rules(name, config).select
    masks = [each for each in (own, _condition(job), _events(job.events), _period(job)) if each is not None]
    select = None if not masks else lambda events: reduce(and_, (mask(events) for mask in masks))
    organizations = {each.rpartition("/")[0] for each in job.events} or set(job.organizations)
    return Selection(select, frozenset(each.encode() for each in organizations))


def _condition(job: ReplayJob) -> Selector | None:
    if job.where is None:
        return None
    try:
        return compile_filter(job.where, EVENT_COLUMNS).mask
    except FilterError as error:
        raise ReplayConditionError(sentence(f"The condition of the replay {job.id} {error}")) from error


def _events(events: Sequence[str]) -> Selector | None:
    """Select events by `ORGANIZATION/ID`. A restored site may have given an id again; then all events with it are meant."""
    if not events:
        return None
    wanted = pl.Series(events, dtype=pl.String)
    return lambda frame: frame.select(
        pl.concat_str(pl.col("organization"), pl.lit("/"), pl.col("id").cast(pl.String))
        .is_in(wanted)
        .alias("selected")
    )["selected"]


def _period(job: ReplayJob) -> Selector | None:
    """Select events by the time that the job names. The period of dead letters is that of the letters, not of their events."""
    if job.content == "dead-letters" or (job.from_ms is None and job.to_ms is None):
        return None
    time = pl.col(job.by).cast(pl.Int64)
    bounds = [
        *([] if job.from_ms is None else [time >= job.from_ms]),
        *([] if job.to_ms is None else [time < job.to_ms]),
    ]
    within = reduce(and_, bounds)
    return lambda frame: frame.select(within.alias("selected"))["selected"]
