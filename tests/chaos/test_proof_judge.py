"""The judge of the watch finds what it is to find."""

from management.completeness.seal_store import chain_of
from tests.chaos.proof_judge import _fact, _faults
from tests.support.day_seals import Sealed, a_month, account


def test_a_chain_that_is_whole_has_no_fault():
    chain = chain_of("acme", a_month().seals["acme"])
    assert [*_faults("acme", chain)] == []
    assert _fact({"acme": chain}) == (
        "4 seals of 1 organizations (complete) have 6 events; 1 are later editions."
    )


def test_a_broken_chain_and_a_false_difference_are_found():
    seals = a_month().seals["acme"]
    (broken,) = _faults("acme", chain_of("acme", seals[1:]))
    assert broken.startswith("acme: its chain is broken")
    sealed = Sealed().seal(account("2026-11-01", ledger=frozenset({1, 2, 3, 8})))
    (false,) = _faults("acme", chain_of("acme", sealed.seals["acme"]))
    assert false.startswith("acme, 2026-11-01: the seal has differences that are none")
