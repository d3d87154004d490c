"""The counts of a job: of the records before and within its places, in whatever order records end."""

import random

import pytest

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


@pytest.mark.parametrize("seed", range(60))
def test_counts_and_places_are_of_the_same_records_whenever_a_process_dies(seed):
    """Records end in any order, places are taken at any moment, and the next owner begins there: no record counts twice."""
    chance = random.Random(seed)
    count = chance.randint(1, 30)
    endings = {offset: chance.choice(ENDINGS) for offset in range(count)}
    before, place = ReplayCounts(), DeliveryProgress.starting_at(0)
    for _ in range(3):
        tracker, tally = OffsetTracker(), ReplayTally(before)
        tracker.start(partition(), place)
        singles = [
            single
            for sequence, part in tracker.track(partition(), records_at(range(count)))
            for single in TrackedRecords(part, (sequence,)).singles()
        ]
        for single in chance.sample(singles, chance.randint(0, len(singles))):
            offset = single.records[0].offset
            tracker.mark_delivered(single)
            tally.ended(1, endings[offset], "why" if endings[offset] == "skipped" else "")
            if chance.random() < 0.3:
                written = tracker.progress()[partition()].to_offset_and_metadata()
                place = DeliveryProgress.from_offset_and_metadata(*written)
                before = tally.counts({partition(): place})
                assert before == counted(covered_by(place, count), endings)


def covered_by(place, count):
    ranges = [(0, place.offset), *((each.first, each.stop) for each in place.delivered_ahead)]
    return [each for each in range(count) if any(first <= each < stop for first, stop in ranges)]


def test_a_lost_range_counts_once_its_place_has_passed_it():
    tally = ReplayTally(ReplayCounts(lost=5))
    tally.lost(partition(), 30, 20)
    assert tally.counts({partition(): DeliveryProgress.starting_at(10)}).lost == 5
    for _ in range(2):
        assert tally.counts({partition(): DeliveryProgress.starting_at(30)}).lost == 25


def test_counts_go_on_from_those_of_the_former_owner():
    skips = (ReplaySkip("why", 2),)
    progress = ReplayProgress("id", "running", 1, 1, "host", 1, None, None, 9, 4, 3, 2, 1, (), skips)
    assert ReplayCounts.of(progress) == ReplayCounts(4, 3, 2, 1, skips)
    assert ReplayCounts.of(progress).read == 9
    assert ReplayTally(ReplayCounts.of(progress)).counts({}) == ReplayCounts(4, 3, 2, 1, skips)
