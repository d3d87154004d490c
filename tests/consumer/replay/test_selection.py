"""The events of a job: by organization, id, time and condition, and only those that the destination receives."""

import pytest

from consumer.config import DestinationSettings
from consumer.decoding.columns import decode
from consumer.replay.selection import ReplayConditionError, compile_selection
from tests.support.messages import WRITER_SCHEMAS, event, message
from tests.support.replays import replay_job


class Config(DestinationSettings):
    kind: str = "sentinel"


EVENTS = [
    event(1, organization="acme", category="permissions", created=1_000, collected=9_000),
    event(2, organization="acme", category="users", created=2_000, collected=9_001),
    event(1, organization="globex", category="permissions", created=3_000, collected=9_002),
    event(3, organization="globex", category=None, created=4_000, collected=9_003),
]


def selected(config=None, **job):
    """Return the places of the events that a job selects, by its mask and by the keys of the records."""
    records = [message(each) for each in EVENTS]
    selection = compile_selection(replay_job(**job), "soc", config or Config())
    frame = decode(records, dict(WRITER_SCHEMAS.items())).frame
    kept = (
        [True] * len(records) if selection.select is None else selection.select(frame).fill_null(value=False)
    )
    left_out = selection.left_out(records)
    return [index for index, keep in enumerate(kept) if keep and index not in left_out]


@pytest.mark.parametrize(
    ("job", "wanted"),
    [
        ({}, [0, 1, 2, 3]),
        ({"organizations": ("globex",)}, [2, 3]),
        ({"events": ("acme/1", "globex/3", "acme/77")}, [0, 3]),
        ({"by": "created", "from_ms": 2_000, "to_ms": 4_000}, [1, 2]),
        ({"by": "created", "to_ms": 2_000}, [0]),
        ({"from_ms": 9_001, "to_ms": 9_003}, [1, 2]),
        ({"where": "category = 'permissions'"}, [0, 2]),
        ({"where": "category <> 'permissions'"}, [1]),
        ({"where": "category = 'permissions'", "organizations": ("acme",), "from_ms": 0}, [0]),
        ({"content": "dead-letters", "from_ms": 9_002}, [0, 1, 2, 3]),
    ],
)
def test_a_job_selects_its_events(job, wanted):
    """Bounds include their first moment and exclude their last; an event of which a condition says neither is left out."""
    assert selected(**job) == wanted


def test_what_the_destination_does_not_receive_is_not_replayed_to_it():
    config = Config(where="category = 'permissions'")
    assert selected(config) == [0, 2]
    assert selected(config, where="created < TIMESTAMP '1970-01-01 00:00:02'") == [0]


def test_a_condition_that_is_wrong_names_the_replay_and_the_correction():
    with pytest.raises(
        ReplayConditionError,
        match=r"20261130-071500-ab12 has an unknown column categry: did you mean category\?",
    ):
        compile_selection(replay_job(where="categry = 'x'"), "soc", Config())
