import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from management.completeness import verifier
from management.completeness.day_seal import changes_since, next_seal
from management.completeness.export import StoredSeal
from management.completeness.proof import SourceDay
from management.completeness.seal_store import chain_of
from management.completeness.signature import SignedStatement
from management.completeness.verifier import SealChain
from tests.support import plain_verifier
from tests.support.day_seals import KEY, NOON, OLD_KEY, Sealed, a_month, account, proven
from tests.support.exports import refusal, signed_anew, verified


def without_line(data, number):
    lines = data.splitlines(keepends=True)
    return b"".join(lines[: number - 1] + lines[number:])


def test_an_intact_export_is_verified():
    found = verified(a_month().export(proven=[proven(), proven("beta", ids=(9,), event=9)]), KEY.name)
    assert (found.days, found.seals, found.events) == ({"acme": 3, "beta": 1}, 5, 2)
    assert found.keys == (KEY.name,)
    assert "beta: its seals begin with 2026-11-02." in found.notes


def test_every_changed_byte_is_refused_with_its_line():
    """One changed bit of any byte, and the other case of any letter."""
    data = (
        Sealed()
        .seal(account("2026-11-01", (1,)))
        .export(proven=[proven(day="2026-11-01", ids=(1,), event=1)])
    )
    verified(data, KEY.name)
    line = 1
    for at, byte in enumerate(data):
        for bit in {1 << at % 8, 0x20} if chr(byte).isalpha() else {1 << at % 8}:
            text = refusal(data[:at] + bytes([byte ^ bit]) + data[at + 1 :], KEY.name)
            assert text.startswith((f"Line {line}", "The end"))
        line += byte == ord("\n")


def test_every_cut_is_refused():
    data = Sealed().seal(account("2026-11-01", (1,))).export()
    for end in range(len(data)):
        refusal(data[:end], KEY.name)
    refusal(data + b"\n", KEY.name)
    refusal(data + data.splitlines(keepends=True)[-1], KEY.name)


@pytest.mark.parametrize("number", range(2, 7))
def test_a_seal_left_out_is_refused(number):
    """Even a forger with the key must leave a seal out before the line of the chain's end."""
    data = a_month().export()
    assert refusal(without_line(data, number), KEY.name)


def test_a_chain_that_is_cut_is_refused_with_the_place():
    data = without_line(a_month().export(), 3)
    assert refusal(data, KEY.name) == "Line 3 (acme, 2026-11-03): a seal is missing: number 3 follows 1."


def test_seals_in_another_order_are_refused():
    lines = a_month().export().splitlines(keepends=True)
    lines[2], lines[3] = lines[3], lines[2]
    assert "a seal is missing" in refusal(b"".join(lines))


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda seal: seal.update(root="0" * 64), "does not continue"),
        (lambda seal: seal.update(events=9), "does not continue"),
        (lambda seal: seal.update(previous="0" * 64), "no beginning|does not continue"),
        (lambda seal: seal.update(day="2026-11-05"), "days between are missing"),
        (lambda seal: seal.update(edition=2), "no edition before"),
        (lambda seal: seal.update(sequence=7), "a seal is missing"),
        (lambda seal: seal.pop("root"), "the form|does not continue"),
        (lambda seal: seal.update(day=5), "the form"),
        (lambda seal: seal.update(day="20261103"), "the form"),
        (lambda seal: seal.update(format=2), "the form"),
        (lambda seal: seal.update(edition=0), "the form"),
        (lambda seal: seal.update(events=-1), "the form"),
        (lambda seal: seal.update(sequence=2.0), "the form"),
        (lambda seal: seal.update(sequence=True), "the form"),
        (lambda seal: seal.update(days_left_out=0.5), "the form"),
        (lambda seal: seal.update(days_left_out=10**12), "the form"),
        (lambda seal: seal.update(replaces="1" * 64), "replaces nothing"),
        (lambda seal: seal.update(format=1.0), "the form"),
        (lambda seal: seal.update(format=True), "the form"),
        (lambda seal: seal.update(root=None), "the form"),
        (lambda seal: seal.update(root="x"), "the form"),
        (lambda seal: seal.update(root="A" * 64), "the form"),
        (lambda seal: seal.pop("state"), "the form"),
        (lambda seal: seal.update(reason=None), "the form"),
        (lambda seal: seal.update(day="2026-11-01"), "replaces nothing"),
    ],
)
def test_a_seal_that_the_relay_itself_signs_anew_breaks_the_chain(change, fault):
    """The holder of the key cannot change a sealed day: the seal behind it, or line 1, names another hash."""
    text = refusal(signed_anew(a_month().export(), change, 3), KEY.name)
    assert any(each in text for each in fault.split("|")), text


def test_a_further_edition_of_a_day_that_was_left_out_is_refused():
    """The chain is whole from its first seal on, so a day between has either a first edition or none."""
    seals = Sealed().seal(account("2026-11-01")).seal(account("2026-11-04")).seals["acme"]
    chain = SealChain()
    assert [chain.add(each.statement, each.signed.hash) for each in seals] == [None, None]
    for day in ("2026-11-02", "2026-10-31"):
        again = seals[1].statement | {
            "day": day,
            "sequence": 3,
            "previous": chain.head,
            "edition": 2,
            "replaces": "1" * 64,
        }
        assert chain.add(again, "") == "edition 2 of the day has no edition before it"


def test_a_number_that_no_hash_can_hold_is_refused():
    data = a_month().export(proven=[proven()])
    for number in (-1, 2**64, 10**400):
        assert "the form" in refusal(signed_anew(data, lambda each, found=number: each.update(id=found), 7))


def test_a_file_without_seals_proves_nothing_and_says_so():
    assert verified(Sealed().export()).notes == ("The file has no seals, so it proves nothing of any day.",)


def test_a_name_in_the_file_cannot_control_the_terminal(tmp_path, capsys):
    """Anybody can write a file; without --key, the text says that anybody may have signed it."""
    file = tmp_path / "seals"
    file.write_bytes(Sealed().seal(account("2026-11-02", organization="evil\x1b[2J\ud800\n5 seals")).export())
    assert verifier.main([str(file)]) == 0
    out = capsys.readouterr().out
    assert "evil\\u001b[2J\\ud800\\n5 seals: its seals begin with 2026-11-02." in out.splitlines()
    assert "Whose keys these are was not checked" in out
    file.write_bytes(file.read_bytes().replace(b'"events":3', b'"events":4', 1))
    assert verifier.main([str(file)]) == 1
    assert "\x1b" not in capsys.readouterr().err
    with pytest.raises(SystemExit):
        verifier.main([str(tmp_path / "absent")])
    assert "absent cannot be read" in capsys.readouterr().err


def test_a_forged_export_is_refused():
    data = a_month().export(key=OLD_KEY)
    assert refusal(data, KEY.name).startswith(f"Line 1: the key {OLD_KEY.name} signed it")


def test_a_rotated_key_keeps_old_seals_verifiable():
    sealed = Sealed().seal(account("2026-11-01"), OLD_KEY).seal(account("2026-11-02", (4,)))
    assert verified(sealed.export(), KEY.name, OLD_KEY.name).keys == (KEY.name, OLD_KEY.name)
    assert "Line 2" in refusal(sealed.export(), KEY.name)


def test_an_export_within_a_chain_begins_with_the_seal_before():
    found = verified(a_month().export("2026-11-02", "2026-11-03"), KEY.name)
    assert found.days == {"acme": 3, "beta": 1}
    within = verified(a_month().export("2026-11-03", "2026-11-03"), KEY.name)
    assert within.days["acme"] == 2


def test_days_that_were_never_sealed_are_named():
    sealed = Sealed().seal(account("2026-11-01")).seal(account("2026-11-04"))
    assert "acme, 2026-11-04: the 2 days before it were never sealed." in verified(sealed.export()).notes


def test_a_day_whose_hops_differ_is_named():
    sealed = Sealed().seal(account("2026-11-01", ledger=frozenset({1, 2, 3, 8})))
    assert any("differing" in note and "8" in note for note in verified(sealed.export()).notes)


def test_an_event_that_the_seal_does_not_cover_is_refused():
    with pytest.raises(ValueError, match="no seal over its present events"):
        a_month().export(proven=[proven(ids=(4,), event=4)])
    data = a_month().export(proven=[proven()])
    assert "the seal has no event 6" in refusal(signed_anew(data, lambda each: each.update(id=6), 7))
    assert "no seal of this day" in refusal(signed_anew(data, lambda each: each.update(day="2026-11-09"), 7))


def test_a_file_of_another_kind_is_refused():
    for data in (b"", b"\n", b"x\n", b"\xff\n", b"[" * 9_000 + b"\n"):
        assert refusal(data)
    assert "no export" in refusal(KEY.sign({"kind": "seal"}).line)
    assert "only form" in refusal(a_month().export().replace(b'":', b'": ', 1))


def test_a_true_seal_is_not_sealed_again():
    seal = json.loads(next_seal(SealChain(), account("2026-11-01"), KEY, NOON).text)
    assert changes_since(seal, account("2026-11-01")) == []
    [events_changed, *_] = changes_since(seal, account("2026-11-01", (1, 2, 3, 4)))
    assert events_changed == "The events have changed since edition 1: there were 3, and there are 4."


@pytest.mark.parametrize("source", [None, SourceDay(failure="It did not answer.")])
def test_an_audit_log_that_is_not_listed_now_changes_no_seal(source):
    """What the seal says of it still counts; what Kafka has is compared."""
    found = account("2026-11-01", ledger=frozenset({1, 2, 3}))
    seal = json.loads(next_seal(SealChain(), found, KEY, NOON).text)
    assert changes_since(seal, replace(found, source=source)) == []
    deleted = replace(found.kafka, ledger=frozenset({1, 2, 3, 8}))
    assert changes_since(seal, replace(found, source=source, kafka=deleted)) == [
        "What Kafka and the ledger have differs in other ways."
    ]
    differing = json.loads(next_seal(SealChain(), replace(found, kafka=deleted), KEY, NOON).text)
    expired = replace(found.kafka, ledger=None)
    assert changes_since(differing, replace(found, source=source, kafka=expired)) == []


def test_the_verifier_runs_alone(tmp_path):
    """An auditor has the file and `cryptography`, and nothing of the relay."""
    file, program = tmp_path / "seals", tmp_path / "verifier.py"
    file.write_bytes(a_month().export())
    program.write_bytes(Path(verifier.__file__).read_bytes())
    command = [sys.executable, "-I", str(program), str(file), "--key", KEY.name]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "5 seals of 2 organizations and 0 events are intact." in ended.stdout
    plain = [sys.executable, "-I", plain_verifier.__file__, str(file), KEY.name]
    assert subprocess.run(plain, timeout=60, check=False).returncode == 0
    file.write_bytes(file.read_bytes().replace(b"acme", b"evil", 1))
    assert verifier.main([str(file)]) == 1
    assert subprocess.run(plain, timeout=60, check=False).returncode == 1


def test_a_stored_chain_whose_last_seal_was_changed_is_broken():
    """The hash in the next seal guards each one but the last, which has its signature alone."""
    seals = a_month().seals["acme"]
    assert chain_of("acme", seals).fault is None
    changed = seals[-1].statement | {"state": "complete", "events": 9}
    signed = SignedStatement(verifier.canonical_text(changed), seals[-1].signed.signature)
    forged = [*seals[:-1], StoredSeal(signed, changed)]
    assert chain_of("acme", forged).fault == "acme, 2026-11-02, seal 4: the signature is wrong."
    for broken in ({"format": 9}, {"days_left_out": 10**12}):
        found = [*seals[:2], StoredSeal(seals[2].signed, {**seals[2].statement, **broken})]
        assert "acme, 2026-11-03, seal 3: it" in str(chain_of("acme", found).fault)
