"""The rules of a replay: its id, its states as an operator sees them, and what is left of it."""

from dataclasses import replace

import pytest

from relay.replays.job import KnownReplay, ReplayPlace, ReplayProgress, ReplayRange, in_turn, new_replay_id
from tests.support.replays import replay_job

RANGES = (ReplayRange("p.events", 0, 10, 50), ReplayRange("p.backfill", 0, 5, 5))
PROGRESS = ReplayProgress("20261130-071500-ab12", "running", 5, 5, "host", 5)


def test_an_id_sorts_by_time_and_is_safe_in_a_path():
    assert new_replay_id(1_796_022_900_000, 0xAB12) == "20261130-071500-ab12"
    assert new_replay_id(1_796_022_900_000, 0x7FFF_0001) == "20261130-071500-0001"


def test_since_changes_with_the_state_alone_and_an_end_keeps_its_moment():
    """A reason that changes leaves `since`; the end of a job is the moment of its first ended record."""
    running = PROGRESS.in_state("running", "slow", 9)
    assert (running.since, running.at, running.reason, running.finished_at) == (5, 9, "slow", None)
    done = running.in_state("done", None, 11)
    assert (done.since, done.finished_at, done.in_state("done", None, 20).finished_at) == (11, 11, 11)
    assert done.ended
    assert not running.ended


def test_the_offsets_left_are_those_behind_the_places():
    job = replay_job(ranges=RANGES)
    assert KnownReplay(job).offsets_left() == 40
    at = replace(PROGRESS, places=(ReplayPlace("p.events", 0, 30, ""),))
    assert KnownReplay(job, at).offsets_left() == 20


def test_the_oldest_replay_that_has_not_ended_is_first():
    older, newer = replay_job(id="20261130-071500-ab12"), replay_job(id="20261130-071501-0001")
    ended = KnownReplay(replay_job(id="20261129-000000-0000"), replace(PROGRESS, state="done"))
    assert [each.job.id for each in in_turn([KnownReplay(newer), ended, KnownReplay(older)])] == [
        older.id,
        newer.id,
    ]


@pytest.mark.parametrize(
    ("change", "word"), [({"content": "moods"}, "moods"), ({"by": "seen"}, "seen"), ({}, None)]
)
def test_a_job_of_a_later_release_names_the_word_that_nobody_here_knows(change, word):
    assert replay_job(**change).unknown_word == word
