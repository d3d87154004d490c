import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulators.jira_cloud.log import AuditLog, AuditLogEntry, Selection


def make_entry(record_id, created=0, **fields):
    return AuditLogEntry(record_id, created, json.dumps({"id": record_id, **fields}).encode())


def make_log(*entries):
    log = AuditLog()
    for one in entries:
        log.add(one, visible_at=0)
    log.advance(0)
    return log


def select_ids(log, **selection):
    return [one.id for one in log.select(Selection(**selection))]


@settings(max_examples=100)
@given(
    st.dictionaries(st.integers(-50, 2**40), st.integers(0, 30), max_size=150),
    st.none() | st.integers(0, 30),
    st.none() | st.integers(0, 30),
)
def test_a_selection_equals_a_plain_filter_and_sort(created, since, until):
    """For any ids and times, a selection has inclusive bounds and descending ids."""
    log = make_log(*(make_entry(record_id, at) for record_id, at in created.items()))
    wanted = [
        record_id
        for record_id, at in created.items()
        if (since is None or at >= since) and (until is None or at <= until)
    ]
    assert select_ids(log, since=since, until=until) == sorted(wanted, reverse=True)
    assert log.total == len(created)


def test_a_restored_log_lacks_later_records_and_gives_their_ids_again():
    """Later records are gone, also those that were not visible yet."""
    log = make_log(make_entry(1, 10), make_entry(2, 20))
    log.add(make_entry(3, 30), visible_at=99)
    log.add(make_entry(4, 40), visible_at=None)
    log.restore(10)
    assert (select_ids(log), log.total, log.hidden) == ([1], 1, set())
    log.add(make_entry(2, 50), visible_at=0)
    log.advance(99)
    assert [one.created for one in log.select(Selection())] == [50, 10]


def test_a_record_becomes_visible_at_its_time():
    """A record is hidden before `visible_at`; without one, until it is revealed."""
    log = make_log(make_entry(1))
    log.add(make_entry(2), visible_at=50)
    log.add(make_entry(3), visible_at=None)
    log.add(make_entry(4), visible_at=None)
    log.advance(49)
    assert (select_ids(log), log.total, log.hidden) == ([1], 1, {2, 3, 4})
    log.advance(50)
    assert select_ids(log) == [2, 1]
    log.reveal([3])
    assert (select_ids(log), log.hidden) == ([3, 2, 1], {4})
    log.reveal()
    assert (select_ids(log), log.hidden) == ([4, 3, 2, 1], set())
    assert [record["id"] for record in log.all_records()] == [1, 2, 3, 4]


def test_a_repeated_id_is_refused():
    """A second record with the same id raises ValueError."""
    with pytest.raises(ValueError, match="record 7 exists already"):
        make_log(make_entry(7), make_entry(7, 5))


def test_retention_hides_the_oldest_records():
    """A deleted record cannot be selected, and is still counted as created."""
    log = make_log(make_entry(1, 30), make_entry(2, 10), make_entry(3, 20), make_entry(4, 40))
    log.delete_oldest(1)
    assert select_ids(log) == [4, 3, 1]
    log.advance(100, retained_since=30)
    assert (select_ids(log), log.total, len(log)) == ([4, 1], 2, 4)


def test_a_filter_matches_every_word_anywhere():
    """As in the specification's example, `man ed` finds "User added to group" of "group management"."""
    log = make_log(
        make_entry(1, summary="User added to group", category="group management"),
        make_entry(2, summary="User created", category="user management"),
        make_entry(3, summary="x", objectItem={"name": "Foreman ed"}),
        make_entry(4, summary="x", changedValues=[{"fieldName": "man", "changedTo": "ed"}]),
        make_entry(5, description="man ed", associatedItems=[{"name": "man ed"}]),
        make_entry(6, summary=None, objectItem=3, changedValues=[None]),
    )
    assert select_ids(log, filter_terms=("man", "ed")) == [3, 2, 1]
    assert select_ids(log, filter_terms=("MAN", "Group")) == [1]
