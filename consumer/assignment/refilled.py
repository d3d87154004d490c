"""Events on the topic of backfill that are there for one replay alone: the pipelines pass over them."""

from collections.abc import Iterable, Iterator, Sequence

from consumer.delivery.flow import DeliveryFlow
from consumer.offsets.tracker import OffsetTracker, SequenceRange, TrackedRecords
from relay.kafka import Record, have_headers, headers_of
from relay.replays.refill import replay_of


def skip_refilled(
    tracked: Iterable[tuple[SequenceRange, Sequence[Record]]], tracker: OffsetTracker, flow: DeliveryFlow
) -> Iterator[tuple[SequenceRange, Sequence[Record]]]:
    """Yield the records that are for every destination; mark the others as delivered, and count them as skipped.

    The replay's own reader delivers those, to the one destination that lost them.
    """
    for sequence, records in tracked:
        if not have_headers(records):
            yield sequence, records
            continue
        refilled = [index for index, each in enumerate(headers_of(records)) if replay_of(each) is not None]
        if not refilled:  # the headers are those of traces
            yield sequence, records
            continue
        run = TrackedRecords(records, (sequence,))
        tracker.mark_delivered(run.select(refilled))
        flow.metrics.events_read(len(refilled))
        flow.metrics.events_skipped(len(refilled))
        flow.state.skipped += len(refilled)
        kept = sorted(set(range(len(records))) - set(refilled))
        others = run.select(kept)
        position = 0
        for part in others.sequences:
            yield part, others.records[position : position + len(part)]
            position += len(part)
