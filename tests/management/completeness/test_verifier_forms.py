"""Values of another form, chains of other files, and days that were sealed ahead of their time."""

import pytest

from management.completeness import verifier
from management.completeness.verifier import RefusedError, require_continued
from management.formatting import iso_milliseconds
from tests.support.day_seals import NOON, Sealed, a_month, account, proven
from tests.support.exports import refusal, signed_anew, verified


@pytest.mark.parametrize(
    "change",
    [
        {"from": None},
        {"to": 7},
        {"to": "20261103"},
        {"to": "2026-W44-1"},
        {"seals": 5.0},
        {"events": False},
        {"format": 1.0},
        {"exported_at": 5},
        {"chains": {"acme": {"last": 4.0, "head": "0" * 64}}},
    ],
)
def test_a_first_line_of_another_form_is_refused(change):
    text = refusal(signed_anew(a_month().export(), lambda each: each.update(change), 1))
    assert "Line 1: it has not the form" in text


@pytest.mark.parametrize(
    "change",
    [
        {"path": {}},
        {"index": True},
        {"content": " ".join(["ab"] * 32)},
        {"path": ["AB" * 32]},
        {"id": True},
    ],
)
def test_an_inclusion_proof_of_another_form_is_refused(change):
    data = a_month().export(proven=[proven()])
    assert "the form" in refusal(signed_anew(data, lambda each: each.update(change), 7))


def test_a_file_must_continue_an_earlier_one(tmp_path, capsys):
    """The holder of the key can sign a whole other chain; a file of another month, or an older one, proves less than it seems."""
    month = a_month()
    earlier = verified(month.export(last="2026-11-02"))
    require_continued(verified(month.export()), earlier)
    require_continued(verified(month.export("2026-11-03")), verified(month.export(last="2026-11-01")))
    other = Sealed().seal(account("2026-11-01", (7,))).seal(account("2026-11-02", (9,), "beta"))
    other.seal(account("2026-11-02")).seal(account("2026-11-03")).seal(account("2026-11-02"), reason="Late.")
    for data, fault in (
        (other.export(), "acme: seal 4, the last one of the earlier file, is another one here."),
        (month.export(last="2026-11-01"), "acme: seal 4, the last one of the earlier file, is not here."),
        (Sealed().export(), "acme: seal 4, the last one of the earlier file, is not here."),
    ):
        with pytest.raises(RefusedError, match=fault):
            require_continued(verified(data), earlier)
    files = [tmp_path / "november", tmp_path / "december"]
    for file, data in zip(files, (month.export(last="2026-11-02"), other.export()), strict=True):
        file.write_bytes(data)
    assert verifier.main([str(files[0]), "--after", str(files[0])]) == 0
    assert (
        f"The file is of 2026-11-01 to 2026-11-02, written {iso_milliseconds(NOON)}."
        in capsys.readouterr().out
    )
    assert verifier.main([str(files[1]), "--after", str(files[0])]) == 1


def test_days_that_a_clock_ahead_has_sealed_stop_no_chain_and_are_named():
    """It was a year ahead for a day. The next days are sealed behind those, each after the one before it."""
    sealed = Sealed().seal(account("2026-11-01")).seal(account("2027-10-01"))
    sealed.seal(account("2026-11-02")).seal(account("2026-11-04"))
    found = verified(sealed.export(last="2027-12-31"))
    assert "acme, 2027-10-01: it was sealed before its end, as by a clock that was ahead." in found.notes
    assert "acme, 2026-11-04: the 1 days before it were never sealed." in found.notes
    chain, [*_, last] = sealed.chains["acme"], sealed.seals["acme"]
    again = last.statement | {"sequence": 5, "previous": chain.head, "days_left_out": 2}
    assert "days between are missing" in str(chain.add(again | {"day": "2026-11-06"}, ""))
    assert chain.add(again, "") == "a first edition replaces nothing"
    before = again | {"day": "2026-10-30"}
    assert "days between are missing" in str(chain.add(before, ""))
    assert chain.add(before | {"days_left_out": 0}, "") is None
