"""The mark of the rows of a replay."""

from polars.testing import assert_frame_equal

from consumer.decoding.columns import decode
from consumer.decoding.event_schema import AUDIT_EVENT, EVENT_COLUMNS
from consumer.formats.filter import compile_filter
from consumer.formats.privacy import compile_privacy
from consumer.formats.replay_mark import REPLAY_ID, REPLAY_MODE, is_replayed, mark_replayed
from tests.support.messages import WRITER_SCHEMAS, event, message

ID = "20261130-071500-ab12"
EVENTS = [event(1, mode="late"), event(2, mode="backfill", authorKey="zoe")]


def frame(*events):
    return decode([message(each) for each in events], WRITER_SCHEMAS).frame


def test_each_row_of_a_replay_names_the_job_and_its_mode():
    """The other columns, their order and their types are those of the events."""
    events = frame(*EVENTS)
    replayed = mark_replayed(events, ID)
    assert replayed["mode"].to_list() == [REPLAY_MODE] * 2
    assert replayed[REPLAY_ID].to_list() == [ID] * 2
    assert replayed.columns == [*EVENT_COLUMNS, REPLAY_ID]
    assert_frame_equal(replayed.drop("mode", REPLAY_ID), events.drop("mode"))


def test_rows_for_the_target_of_live_events_keep_their_mode():
    replayed = mark_replayed(frame(*EVENTS), ID, keep_mode=True)
    assert replayed["mode"].to_list() == ["late", "backfill"]
    assert replayed[REPLAY_ID].to_list() == [ID] * 2


def test_a_frame_without_rows_is_marked_too():
    """A batch of which a filter keeps no event; its columns are the same."""
    empty = mark_replayed(EVENT_COLUMNS.to_frame(), ID)
    assert (empty.height, empty.schema) == (0, mark_replayed(frame(*EVENTS), ID).schema)
    assert is_replayed(empty)


def test_events_that_are_no_replay_have_neither_mark():
    """The schema of events has no such mode and no such field."""
    assert not is_replayed(frame(*EVENTS))
    modes = next(each["type"]["symbols"] for each in AUDIT_EVENT["fields"] if each["name"] == "mode")
    assert REPLAY_MODE not in modes
    assert REPLAY_ID not in EVENT_COLUMNS


def test_privacy_rules_keep_the_mark():
    """The runner marks the events before the privacy rules."""
    rules = compile_privacy({"authorKey": "drop"}, None, EVENT_COLUMNS)
    hidden = rules.hide(mark_replayed(frame(*EVENTS), ID))
    assert hidden[REPLAY_ID].to_list() == [ID] * 2
    assert hidden["authorKey"].to_list() == [None, None]


def test_a_filter_that_reads_the_mode_keeps_the_events_that_it_kept_first():
    """The filter sees the events before the mark: a replay for a filter on the mode would be empty otherwise."""
    mask = compile_filter("mode <> 'backfill'", EVENT_COLUMNS).mask
    assert mask(frame(*EVENTS)).to_list() == [True, False]
