"""The index of seals, and the calendar that is made of it."""

import json
from dataclasses import replace

import pytest

from management.completeness.calendar import calendar_of
from management.completeness.day_seal import day_account
from management.completeness.export import StoredSeal
from management.completeness.seal_index import SealIndex
from management.completeness.seal_store import account_record, seal_record
from management.completeness.signature import SignedStatement
from management.completeness.verifier import canonical_text
from relay.timestamps import DAY_MS, day_start
from tests.support.day_seals import OLD_KEY, a_month, account, seal_messages
from tests.support.messages import Message
from tests.support.views import organization

DAYS = [f"2026-11-0{day}" for day in range(1, 7)]
NOW = day_start("2026-11-12")
"""Late records may come from the fourth day on."""


def index_of(*records):
    index = SealIndex()
    for each in records:
        index.take(each)
    return index


def words_of(index, name="acme"):
    found = calendar_of(index.organizations[name], organization(name, added=day_start(DAYS[0])), DAYS, NOW, 7)
    return [each.word for each in found.days], found.fault


def account_message(day, offset, **fields):
    record = account_record("seals", day_account(account(day, **fields), NOW))
    return Message(record.value, record.key, NOW, offset=offset)


def test_seals_and_accounts_give_each_day_its_word():
    """An account that is complete is provisional; one that differs says so at once. A day of two editions has both places."""
    records = [*seal_messages(a_month()), account_message(DAYS[3], 9)]
    records += [account_message(DAYS[4], 10, ledger=frozenset({1, 2, 3, 8}))]
    index = index_of(*records)
    assert words_of(index) == (
        ["complete"] * 3 + ["provisional", "differing", "provisional"],
        None,
    )
    found = index.organizations["acme"]
    assert (found.offsets(DAYS[1]), found.offsets(DAYS[4]), found.offsets(DAYS[5])) == ([1, 3], [10], [])
    index.take(Message(None, f"acme {DAYS[4]} 0".encode(), NOW, offset=11))
    assert words_of(index)[0][4] == "provisional"
    assert words_of(index, "beta")[0][:2] == ["not sealed", "complete"]


@pytest.mark.parametrize("at", range(4))
def test_a_chain_that_lacks_a_seal_or_has_another_one_is_broken(at):
    """A seal that is left out, deleted, or changed breaks the chain; the last one by its signature. Other chains are whole."""
    records = seal_messages(a_month())[:4]
    deleted = index_of(*records, Message(None, records[at].key, NOW, offset=9))
    assert "of its seal was deleted" in words_of(deleted)[1]
    changed = replace(records[at], value=records[at].value.replace(b"complete", b"Complete", 1))
    found = index_of(*records[:at], changed, *records[at + 1 :], seal_messages(a_month())[4])
    assert words_of(found)[1] is not None
    assert words_of(found, "beta")[1] is None
    if at < 3:
        assert words_of(index_of(*records[:at], *records[at + 1 :]))[1] is not None


@pytest.mark.parametrize("at", range(4))
def test_a_seal_that_is_written_once_more_breaks_no_chain(at):
    """A mirror is at least once. Before compaction both copies are there, after it the later one, behind seals of later numbers."""
    records = seal_messages(a_month())
    copy = replace(records[at], offset=9)
    for found in (index_of(*records, copy), index_of(*records[:at], *records[at + 1 :], copy)):
        assert words_of(found) == words_of(index_of(*records))
        acme = found.organizations["acme"]
        assert (acme.chain.sequence, len(acme.sealed), acme._waiting) == (4, 3, {})
        day = (DAYS[0], DAYS[1], DAYS[2], DAYS[1])[at]
        assert at == 1 or acme.offsets(day)[-1] == 9
    changed = replace(copy, value=copy.value.replace(b"complete", b"Complete", 1))
    assert words_of(index_of(*records, changed))[1] is not None
    seal = a_month().seals["acme"][at].statement
    forged = OLD_KEY.sign({name: seal[name] for name in seal if name != "key"})
    record = seal_record("seals", StoredSeal(forged, json.loads(forged.text)))
    assert words_of(index_of(*records, Message(record.value, record.key, NOW, offset=9)))[1] is not None


@pytest.mark.parametrize("edition", [0, 4])
def test_a_record_without_the_form_of_a_seal_breaks_its_chain_and_no_reader(edition):
    """As one of another release, or one that somebody wrote: readers go on, and say so."""
    signed = SignedStatement(
        canonical_text({"organization": "acme", "day": DAYS[3], "sequence": 5, "edition": edition}), b""
    )
    record = seal_record("seals", StoredSeal(signed, json.loads(signed.text)))
    index = index_of(*seal_messages(a_month()), Message(record.value, record.key, NOW, offset=9))
    assert "has not the form of a seal" in words_of(index)[1]
    assert words_of(index, "beta")[1] is None


def test_a_day_before_the_organization_was_added_is_not_collected():
    """A day that is over and has no seal says so."""
    added = organization("acme", added=day_start(DAYS[1]))
    index = index_of(Message(b"no seal", b"acme 2026-11-01 1", NOW), Message(b"", b"no day", NOW))
    found = calendar_of(index.organizations["acme"], added, DAYS, NOW + DAY_MS, 7)
    words = [each.word for each in found.days]
    assert words == ["not collected"] + ["not sealed"] * 4 + ["provisional"]
    assert "cannot be read" in str(found.fault)
    assert "names no organization and day" in index.problems[0]


def test_records_of_no_organization_are_named_until_they_are_deleted_and_break_no_chain():
    """Whatever their keys are; no more than some are held."""
    keys = [b"x", b"\xff", None, b"acme 2026-11-01 " + b"9" * 5_000, *(b"%d" % each for each in range(50))]
    index = index_of(*seal_messages(a_month()), *(Message(b"garbage", key, NOW, offset=9) for key in keys))
    assert (words_of(index)[1], set(index.organizations), len(index.problems)) == (None, {"acme", "beta"}, 20)
    for key in keys:
        index.take(Message(None, key, NOW, offset=10))
    assert index.problems == []
