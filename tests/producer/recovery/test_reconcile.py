from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from pyroaring import BitMap64

from producer.recovery.reconcile import Progresses, Standing, Tail, Whole, put_in, shaken, take_out
from producer.state.checkpoint import Pair, Position, begin
from producer.state.intervals import Range
from producer.state.ledger import Day
from relay.timestamps import DAY, day_of, day_start

NOW = day_start("2026-11-23") + 10 * 3_600_000
TODAY, YESTERDAY = "2026-11-23", "2026-11-22"
EMPTY = Tail(0)


def standing(number, offset, *, name="acme", created=NOW, timestamp=NOW):
    return Standing(name, number, created, offset, timestamp)


def progresses(*ids, name="acme", last_event=None, last_backfill=None, **checkpoint):
    """One organization that has published these ids today and lives since two days before."""
    found = Progresses(last=NOW)
    found.days[name][TODAY] = Day(BitMap64(ids))
    found.checkpoints[name] = replace(
        begin(name, NOW - 2 * DAY, now=NOW),
        window_end=NOW,
        **{
            "last_event": last_event,
            "last_backfill": last_backfill,
            "ledgers_from": day_start("2026-11-15"),
            **checkpoint,
        },
    )
    return found


def whole(*events, since=0):
    ids, last = {}, {}
    for event in events:
        days = ids.setdefault(event.organization, {})
        days.setdefault(day_of(event.created), BitMap64()).add(event.id)
        last[event.organization] = event
    return Whole(ids, last, since)


def test_an_organization_whose_last_event_stands_is_believed():
    """The id and the owner of what stands at the offset must be those that progress names."""
    found = progresses(7, last_event=Position(40, 7))

    assert shaken(found, Tail(0, (standing(7, 40),)), EMPTY) == set()
    assert shaken(found, Tail(0, (standing(8, 40),)), EMPTY) == {"acme"}
    assert shaken(found, Tail(0, (standing(7, 40, name="globex"),)), EMPTY) == {"acme"}
    assert shaken(found, Tail(0, ()), EMPTY) == {"acme"}


def test_what_lies_before_the_tail_is_believed():
    """An event that retention has deleted, or that stands further back than was looked, is no sign of a loss."""
    assert shaken(progresses(7, last_event=Position(40, 7)), Tail(41), EMPTY) == set()


def test_history_is_looked_at_on_its_own_topic():
    """An event of history is named, and lost, apart from the live ones."""
    found = progresses(7, last_event=Position(4, 7), last_backfill=Position(9, 3))

    assert shaken(found, Tail(0, (standing(7, 4),)), Tail(0, (standing(3, 9),))) == set()
    assert shaken(found, Tail(0, (standing(7, 4),)), Tail(0)) == {"acme"}


def test_what_is_lost_is_unknown_again_and_read_again():
    """The ledger keeps what stands, the cursors go back to where all stands, and nobody is told to be complete beyond that."""
    found = progresses(
        1, 2, 3, last_event=Position(30, 3), pairs=(Pair(NOW - DAY, 5), Pair(NOW - 1_000, 20), Pair(NOW, 31))
    )
    amendments = take_out(found, {"acme"}, whole(standing(1, 10)), whole())
    checkpoint = found.checkpoints["acme"]

    assert found.days["acme"][TODAY].ids == BitMap64([1])
    assert checkpoint.window_end == NOW - DAY
    assert checkpoint.last_event == Position(10, 1)
    assert checkpoint.pairs == (Pair(NOW - DAY, 5),)
    assert [(one.day, one.lost) for one in amendments] == [(TODAY, 2), (None, 0)]


def test_a_log_that_is_lost_altogether_is_read_again():
    """Where nothing stands any more, nothing is known any more, and no event is named."""
    found = progresses(1, 2, last_event=Position(30, 2))
    found.days["acme"][YESTERDAY] = Day(BitMap64([5]))
    take_out(found, {"acme"}, whole(), whole())

    assert found.days["acme"][TODAY].ids == found.days["acme"][YESTERDAY].ids == BitMap64()
    assert found.checkpoints["acme"].window_end == found.checkpoints["acme"].live_since
    assert found.checkpoints["acme"].last_event is None


def test_what_retention_has_deleted_is_not_lost():
    """Of days older than the log only what was added last, and must still be there, is taken out."""
    since = NOW - 3_600_000
    found = progresses(1, 2, 3, last_event=Position(30, 3))
    found.days["acme"][YESTERDAY] = Day(BitMap64([8, 9]))
    found.added["acme", TODAY] = (NOW, BitMap64([2, 3]))
    found.added["acme", YESTERDAY] = (since - 1, BitMap64([9]))
    take_out(found, {"acme"}, whole(standing(2, 20), since=since), whole())

    assert found.days["acme"][TODAY].ids == BitMap64([1, 2])
    assert found.days["acme"][YESTERDAY].ids == BitMap64([8, 9])


def test_a_deleted_history_does_not_hide_a_live_loss():
    """A history topic that retention has emptied says nothing of live days, nor the other way round."""
    found = progresses(1, 2, last_event=Position(30, 2))
    take_out(found, {"acme"}, whole(standing(1, 10)), whole(since=float("inf")))

    assert found.days["acme"][TODAY].ids == BitMap64([1])


def test_lost_history_is_open_again_and_what_stands_of_it_known():
    """Ledgers of covered days are gone: what stands is learned from the topic, and all is read again without repeating it."""
    live_since = NOW - 2 * DAY
    days = [live_since - number * DAY for number in range(5)]
    found = progresses(
        7,
        last_event=Position(4, 7),
        last_backfill=Position(99, 55),
        backfilled=(Range(days[4], live_since),),
    )
    stands = [standing(51, 0, created=days[1]), standing(52, 1, created=days[2])]
    take_out(found, {"acme"}, whole(standing(7, 4)), whole(*stands))
    checkpoint = found.checkpoints["acme"]

    assert checkpoint.backfilled == ()
    assert found.days["acme"][day_of(days[1])].ids == BitMap64([51])
    assert found.days["acme"][day_of(days[2])].ids == BitMap64([52])
    assert checkpoint.last_backfill == Position(1, 52)
    assert checkpoint.window_end == NOW


def test_what_was_lost_of_days_let_go_is_read_again():
    """No ledger names it: all that the topic tells of becomes known, and is read again from there, once; up to the last pair before
    the loss all the rest stands.
    """
    old, late = NOW - 12 * DAY, NOW - 11 * DAY
    found = progresses(
        7,
        last_event=Position(31, 7),
        live_since=NOW - 20 * DAY,
        day_mark=NOW,
        week_mark=NOW,
        pairs=(Pair(NOW - DAY, 11), Pair(NOW, 32)),
    )
    take_out(found, {"acme"}, whole(standing(1, 10, created=old), since=NOW - 15 * DAY), whole())
    checkpoint = found.checkpoints["acme"]

    assert found.days["acme"][day_of(old)].ids == BitMap64([1])
    assert checkpoint.ledgers_from == NOW - 15 * DAY
    assert checkpoint.week_mark <= late
    assert checkpoint.window_end == NOW - DAY
    assert checkpoint.pairs == (Pair(NOW - DAY, 11),)


def test_what_half_of_a_mend_took_out_is_read_again():
    """The ledgers say no more what was lost: they were mended already, but the checkpoint of that transaction was lost in turn."""
    early, late = Pair(NOW - DAY, 11), Pair(NOW, 12)
    found = progresses(1, last_event=Position(11, 2), pairs=(early, late))
    take_out(found, {"acme"}, whole(standing(1, 10)), whole())

    checkpoint = found.checkpoints["acme"]
    assert checkpoint.window_end == NOW - DAY
    assert checkpoint.pairs == (early,)
    assert checkpoint.last_event == Position(10, 1)


def test_history_that_retention_has_deleted_is_not_opened_again():
    """A live loss long after the last event of history says nothing of that: it was there, and readers have had it."""
    covered = (Range(NOW - 5 * DAY, NOW - 2 * DAY),)
    found = progresses(1, 2, last_event=Position(30, 2), last_backfill=Position(8, 5), backfilled=covered)
    take_out(found, {"acme"}, whole(standing(1, 10)), Whole(since=NOW - DAY, start=9))

    assert found.checkpoints["acme"].backfilled == covered


def test_an_event_that_retention_has_deleted_is_still_named():
    """Else the next pair would tell readers that all before offset 0 is complete."""
    found = progresses(2, last_event=Position(8, 2), last_backfill=Position(30, 5))
    take_out(found, {"acme"}, Whole(since=NOW - DAY, start=9), whole())

    assert found.checkpoints["acme"].last_event == Position(8, 2)
    assert found.checkpoints["acme"].last_backfill is None


def test_events_after_the_last_progress_become_known():
    """Where progress was lost, or comes after the events, they are not published again; of days let go, older ones are believed."""
    found = progresses(1, live_since=NOW - 20 * DAY)
    later = standing(2, 11, timestamp=NOW + 1)
    history = standing(3, 0, created=NOW - 100 * DAY, timestamp=NOW + 2)
    older = standing(9, 10, created=NOW - 10 * DAY, timestamp=NOW - 1)
    amendments = put_in(found, Tail(0, (older, later)), Tail(0, (history,)))

    assert found.days["acme"][TODAY].ids == BitMap64([1, 2])
    assert found.days["acme"][day_of(history.created)].ids == BitMap64([3])
    assert {(one.organization, one.day) for one in amendments} == {
        ("acme", TODAY),
        ("acme", day_of(history.created)),
        ("acme", None),
    }


def test_an_event_that_stands_again_becomes_known():
    """However old: Kafka had lost the mark that its transaction was aborted, and progress was written since."""
    found = progresses(1, last_event=Position(5, 1))
    put_in(found, Tail(0, (standing(1, 5), standing(3, 9, timestamp=NOW - 60_000))), EMPTY)

    assert found.days["acme"][TODAY].ids == BitMap64([1, 3])
    assert found.checkpoints["acme"].last_event == Position(9, 3)


def test_half_of_the_last_progress_is_completed():
    """Where Kafka has kept the checkpoint of a transaction and not its ledger, the events of that transaction become known."""
    found = progresses(1)
    put_in(found, Tail(0, (standing(1, 5), standing(2, 6))), EMPTY)

    assert found.days["acme"][TODAY].ids == BitMap64([1, 2])


def test_a_ledger_without_its_checkpoint_names_what_is_lost():
    """What was added with the last progress must stand, though no checkpoint names it; unless retention may have deleted it."""
    found = progresses(1, 2, last_event=Position(5, 1))
    stands = (standing(1, 5),)
    found.added["acme", TODAY] = (NOW - 1, BitMap64([2]))
    assert shaken(found, Tail(0, stands), EMPTY) == set()
    found.added["acme", TODAY] = (NOW, BitMap64([2]))
    assert shaken(found, Tail(0, stands), EMPTY) == {"acme"}
    assert shaken(found, Tail(0, stands, since=NOW + 1), EMPTY) == set()
    assert shaken(found, Tail(0, (*stands, standing(2, 7))), EMPTY) == set()

    found.added["acme", TODAY] = (NOW, BitMap64([2]))
    take_out(found, {"acme"}, whole(*stands), whole())
    assert found.days["acme"][TODAY].ids == BitMap64([1])


def test_an_event_that_only_its_ledger_tells_of_is_named():
    """Kafka kept the ledger of the last transaction, not its checkpoint: else the next pair would tell readers that all before an
    older event is complete, and nobody would notice were the event lost.
    """
    found = progresses(1, 2, last_event=Position(3, 1))
    amendments = put_in(found, Tail(0, (standing(1, 3), standing(2, 5))), EMPTY)

    assert found.checkpoints["acme"].last_event == Position(5, 2)
    assert [(one.organization, one.day) for one in amendments] == [("acme", None)]
    assert put_in(found, Tail(0, (standing(1, 3), standing(2, 5))), EMPTY) == []


def test_events_that_became_known_are_named():
    """Were they lost later, before anything else is published, that would be noticed; what is named and lost stays named."""
    found = progresses(1, last_event=Position(3, 1), last_backfill=Position(90, 8))
    later = [standing(number, number, timestamp=NOW + number) for number in (10, 12)]
    history = standing(5, 20, created=NOW - 100 * DAY, timestamp=NOW + 3)
    put_in(found, Tail(0, (standing(1, 3), *later)), Tail(0, (history,)))

    assert found.checkpoints["acme"].last_event == Position(12, 12)
    assert found.checkpoints["acme"].last_backfill == Position(90, 8)
    assert shaken(found, Tail(0, (standing(1, 3),)), Tail(0, (standing(8, 90),))) == {"acme"}


@given(st.lists(st.integers(0, 7 * 24), min_size=1, max_size=60), st.integers(0, 60))
def test_after_a_loss_exactly_the_lost_are_unknown_and_asked_for(hours, kept):
    """Whatever the end of a log took with it, ledgers then hold what stands, and no cursor is beyond what is lost."""
    events = [
        standing(number, number, created=NOW - hour * 3_600_000) for number, hour in enumerate(hours, 100)
    ]
    found = progresses(live_since=NOW - 8 * DAY, last_event=Position(events[-1].offset, events[-1].id))
    for event in events:
        day = found.days["acme"].get(day_of(event.created), Day())
        found.days["acme"][day_of(event.created)] = Day(day.ids | BitMap64([event.id]))
    stand, lost = events[:kept], events[kept:]
    if shaken(found, Tail(0, tuple(stand)), EMPTY):
        take_out(found, {"acme"}, whole(*stand), whole())
    known = {number for day in found.days["acme"].values() for number in day.ids}
    checkpoint = found.checkpoints["acme"]

    assert known == {event.id for event in stand}
    assert all(checkpoint.window_end <= event.created for event in lost)
    assert shaken(found, Tail(0, tuple(stand)), EMPTY) == set()
