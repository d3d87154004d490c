from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from management.completeness.canonical import EventKey
from management.completeness.proof import (
    DayAccount,
    DeliveryDay,
    Differences,
    KafkaDay,
    SourceDay,
    compare,
    ids_text,
)

IDS = st.frozensets(st.integers(0, 60), max_size=25)


def event(event_id, version=0):
    return EventKey(event_id, sha256(f"{event_id}/{version}".encode()).digest())


def events(ids, version=0):
    return [event(each, version) for each in sorted(ids)]


def account(source=(), stored=(), destinations=None, **kafka):
    listed = SourceDay(events(source)) if not isinstance(source, SourceDay) else source
    return DayAccount("acme", "2026-11-23", listed, KafkaDay(events(stored), **kafka), destinations or {})


@given(IDS, IDS, IDS, IDS)
def test_each_difference_is_named_and_no_other(both, only_source, only_stored, altered):
    """Records removed, added and altered behind the relay's back are named by their ids, and none falsely."""
    only_source, only_stored = only_source - both, only_stored - both - only_source
    altered = altered - both - only_source - only_stored
    source = SourceDay(events(both | only_source) + events(altered, 1))
    stored = KafkaDay(events(both | only_stored | altered), ledger=both | only_stored | altered)
    assert compare(source, stored) == Differences(
        tuple(sorted(only_source)), tuple(sorted(only_stored)), tuple(sorted(altered))
    )


@given(IDS, IDS, IDS)
def test_what_left_the_topic_or_the_ledger_is_named(kept, deleted, unrecorded):
    deleted, unrecorded = deleted - kept, unrecorded - kept - deleted
    found = compare(None, KafkaDay(events(kept | unrecorded), ledger=kept | deleted))
    assert found == Differences(deleted=tuple(sorted(deleted)), unrecorded=tuple(sorted(unrecorded)))


@given(IDS, IDS)
def test_the_ledger_counts_for_what_retention_has_deleted(deleted, missing):
    missing = missing - deleted
    found = compare(SourceDay(events(deleted | missing)), KafkaDay((), kept=False, ledger=deleted))
    assert found == Differences(missing=tuple(sorted(missing)))


@given(IDS)
def test_without_ledger_and_topic_nothing_is_known_and_nothing_claimed(ids):
    assert compare(SourceDay(events(ids)), KafkaDay((), kept=False)) == Differences()
    assert account(ids, (), kept=False).state == "unproven"


def test_events_that_share_an_id_differ_by_content():
    twins = [event(7), event(7, 1)]
    assert compare(SourceDay(twins), KafkaDay(twins)) == Differences()
    assert compare(SourceDay(twins), KafkaDay(twins[:1])) == Differences(missing=(7,))
    assert compare(SourceDay(twins[:1]), KafkaDay(twins)) == Differences(removed=(7,))
    assert compare(SourceDay([*twins[:1], event(7, 2)]), KafkaDay(twins)) == Differences(altered=(7,))


def test_an_event_that_is_twice_on_the_topic_is_named():
    assert compare(SourceDay([event(7)]), KafkaDay([event(7), event(7)])) == Differences(repeated=(7,))


@pytest.mark.parametrize(
    ("found", "state"),
    [
        (account([1], [1], ledger={1}), "complete"),
        (account((), ()), "complete"),
        (account([1], []), "differing"),
        (account([1], [1], undecodable=1), "differing"),
        (account(SourceDay(events([1]), unreadable=2), [1]), "differing"),
        (account(SourceDay(failure="It did not answer."), [1]), "unproven"),
        (account([1], [1], kept=False), "unproven"),
        (account([1], [1], ledger={1}, corrupt=1), "complete"),
        (account([1, 2], [1], ledger={1, 2}, corrupt=1), "differing"),
        (account(SourceDay(uncollected=4), []), "not collected"),
        (account(SourceDay(awaited=4), []), "differing"),
        (account(SourceDay(uncollected=2, awaited=4), []), "differing"),
        (account([1], [1], {"a": DeliveryDay({"accepted": 1})}), "complete"),
        (account([1], [1], {"a": DeliveryDay({"not begun": 1})}), "complete"),
        (account([1], [1], {"a": DeliveryDay({"left out": 1})}), "complete"),
        (account([1], [1], {"a": DeliveryDay({"redriven": 1})}), "complete"),
        (account([1], [1], {"a": DeliveryDay({"lost": 1})}), "differing"),
        (account([1], [1], {"a": DeliveryDay({"dead letter": 1})}), "differing"),
        (account([1], [1], {"a": DeliveryDay({"pending": 1})}), "differing"),
        (account([1], [1], {"a": DeliveryDay({"not known": 1})}), "differing"),
    ],
)
def test_the_state_of_a_day(found, state):
    assert found.state == state
    assert found.document()["state"] == state
    assert bool(found.findings()) == (state not in {"complete", "not collected"})


def test_a_day_whose_audit_log_was_not_asked_is_unproven():
    found = DayAccount("acme", "2026-11-23", None, KafkaDay(events([1])), {})
    assert (found.state, found.findings()) == ("unproven", ["The audit log was not asked."])


def test_findings_name_ids_and_destinations():
    delivery = DeliveryDay({"accepted": 1, "dead letter": 1}, {"dead letter": (2,)})
    found = account([1, 2, 3], [1, 2], {"sentinel": delivery})
    assert found.findings() == [
        "The audit log has events that Kafka lacks: 3.",
        "sentinel: 1 dead letter (2).",
    ]


def test_a_damaged_batch_is_named_with_the_ids_that_it_may_have_held():
    assert account([1, 2], [1], ledger={1, 2}, corrupt=1).findings() == [
        "The audit log has events that Kafka lacks: 2.",
        "The ledger holds events that their topic lacks: 2.",
        "Kafka has 1 batches in this partition that are damaged, and may hold them.",
    ]


def test_a_document_names_a_hundred_ids_and_counts_all():
    missing = account(range(250), ()).document()["differences"]["missing"]
    assert (missing["count"], missing["ids"]) == (250, list(range(100)))
    assert ids_text(range(12)) == "0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 2 more"
