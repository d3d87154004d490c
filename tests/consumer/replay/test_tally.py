"""The counts of a job: of the records before and within its places, in whatever order records end."""

from hypothesis import given
from hypothesis import strategies as st

from consumer.offsets.delivered import DeliveryProgress
from consumer.offsets.tracker import OffsetTracker, TrackedRecords
from consumer.replay.tally import ReplayCounts, ReplayTally
from relay.replays.job import ReplayProgress, ReplaySkip
from tests.support.messages import records_at
from tests.support.replay_run import partition

ENDINGS = ("sent", "skipped", "dead_lettered")


def counted(offsets, endings):
    """Return the counts of these offsets, one by one."""
    found = [endings[each] for each in offsets]
    skipped = found.count("skipped")
    skips = (ReplaySkip("why", skipped),) if skipped else ()
    return ReplayCounts(found.count("sent"), skipped, found.count("dead_lettered"), 0, skips)


@given(
    count=st.integers(1, 30),
    data=st.data(),
)
def test_counts_and_places_are_of_the_same_records_whenever_a_process_dies(count, data):
    """Records end in any order, places are taken at any moment, and the next owner begins there: no record counts twice."""
    endings = {offset: data.draw(st.sampled_from(ENDINGS)) for offset in range(count)}
    before, place = ReplayCounts(), DeliveryProgress.starting_at(0)
    for _ in range(3):
        tracker, tally = OffsetTracker(), ReplayTally(before)
        tracker.start(partition(), place)
        ended = set()
        records = records_at(range(count))
        open_records = [
            single
            for sequence, part in tracker.track(partition(), records)
            for single in TrackedRecords(part, (sequence,)).singles()
        ]
        for single in data.draw(st.permutations(open_records))[
            : data.draw(st.integers(0, len(open_records)))
        ]:
            offset = single.records[0].offset
            ended.add(offset)
            tracker.mark_delivered(single)
            reason = "why" if endings[offset] == "skipped" else ""
            tally.ended(partition(), [offset], endings[offset], reason)
            if data.draw(st.booleans()):
                place = tracker.progress()[partition()].with_first_ranges(2)
                before, behind = tally.counts({partition(): place})
                covered = [
                    each
                    for each in range(count)
                    if each < place.offset
                    or any(run.first <= each < run.stop for run in place.delivered_ahead)
                ]
                assert before == counted(covered, endings)
                assert behind == len(ended - set(covered))


def test_a_lost_range_counts_once_its_place_has_passed_it():
    tally = ReplayTally(ReplayCounts(lost=5))
    tally.lost(partition(), 10, 30)
    assert tally.counts({partition(): DeliveryProgress.starting_at(10)})[0].lost == 5
    for _ in range(2):
        assert tally.counts({partition(): DeliveryProgress.starting_at(30)})[0].lost == 25


def test_counts_go_on_from_those_of_the_former_owner():
    skips = (ReplaySkip("why", 2),)
    progress = ReplayProgress("id", "running", 1, 1, "host", 1, None, None, 9, 4, 3, 2, 1, (), skips)
    assert ReplayCounts.of(progress) == ReplayCounts(4, 3, 2, 1, skips)
    assert ReplayCounts.of(progress).read == 9
    assert ReplayTally(ReplayCounts.of(progress)).counts({})[0] == ReplayCounts(4, 3, 2, 1, skips)
