"""Proof of completeness, as the command line shows it."""

import base64
from types import SimpleNamespace

import pytest
from pydantic import SecretStr

from cli.commands.run import _day_watch
from relay.telemetry.health import Health
from relay.timestamps import DAY_MS, day_of, now_ms
from tests.support.day_seals import KEY, OLD_KEY, a_month, account


@pytest.fixture
def file(tmp_path):
    found = tmp_path / "november.seals"
    found.write_bytes(a_month().seal(account("2026-11-04", ledger=frozenset({1, 2, 3, 8}))).export())
    return found


class TestVerify:
    async def test_a_file_that_a_trusted_key_signed_is_verified(self, command_line_without_kafka, file):
        """It needs no settings; days that are not complete are named."""
        done = await command_line_without_kafka("proof", "verify", str(file), "--key", KEY.name)
        assert "6 seals of 2 organizations and 0 events are intact." in done.out
        assert "acme, 2026-11-04: differing." in done.out
        assert "was not checked" not in done.out

    async def test_without_a_key_the_text_says_that_anybody_may_have_signed(
        self, command_line_without_kafka, file
    ):
        done = await command_line_without_kafka("proof", "verify", str(file))
        assert "Whose keys these are was not checked" in done.out
        document = (await command_line_without_kafka("proof", "verify", str(file), "--json")).json
        assert (document["seals"], document["keys"], document["keys_trusted"]) == (6, [KEY.name], False)

    async def test_a_changed_and_a_forged_file_end_with_1(self, command_line_without_kafka, file):
        forged = await command_line_without_kafka("proof", "verify", str(file), "--key", OLD_KEY.name, code=1)
        assert forged.err.startswith("REFUSED. Line 1: the key")
        file.write_bytes(file.read_bytes().replace(b'"events":3', b'"events":4', 1))
        changed = await command_line_without_kafka("proof", "verify", str(file), "--key", KEY.name, code=1)
        assert changed.err.startswith("REFUSED. Line 2 (acme, 2026-11-01): the signature is wrong.")

    async def test_a_file_that_is_missing_ends_with_2(self, command_line_without_kafka, tmp_path):
        done = await command_line_without_kafka("proof", "verify", str(tmp_path / "absent"), code=2)
        assert "absent cannot be read" in done.err


class TestDays:
    async def test_days_are_shown_sealed_exported_and_verified(
        self, command_line, acme, set_environment, tmp_path
    ):
        """A new organization has no day that is over, so its file has no seal; each day is provisional."""
        set_environment(RELAY_PROOF__KEY=base64.b64encode(bytes(32)).decode())
        await command_line.add(acme)
        assert (await command_line("proof", "key")).out.strip() == KEY.name
        sealed = await command_line("proof", "seal")
        assert "Sealed now: 0 days of 1 organization." in sealed.out
        calendar = await command_line("proof", "show", "--from", "2026-11-01", "--to", "2026-11-03")
        assert f"{acme.name}  ---" in calendar.out
        days = ("--from", day_of(now_ms() - 2 * DAY_MS), "--to", day_of(now_ms() - DAY_MS))
        shown = (await command_line("proof", "show", acme.name, *days, "--json")).json
        assert [each["account"]["source"]["failure"] for each in shown] == [None, None]
        assert {each["state"] for each in shown} <= {"provisional", "not collected"}
        table = (await command_line("proof", "show", acme.name, *days, "--no-source")).out
        assert "The audit log was not asked." in table
        await command_line("proof", "export", str(tmp_path / "seals"))
        verified = await command_line("proof", "verify", str(tmp_path / "seals"), "--key", KEY.name)
        assert "0 seals of 0 organizations" in verified.out

    async def test_what_cannot_be_signed_or_named_is_refused(self, command_line_without_kafka):
        unset = await command_line_without_kafka("proof", "key", code=2)
        assert "proof.key is not set" in unset.err
        await command_line_without_kafka("proof", "seal", "--day", "2026-11-01", code=2)
        await command_line_without_kafka(
            "proof", "show", "--from", "2026-11-02", "--to", "2026-11-01", code=2
        )


def test_a_watch_that_fails_takes_no_console_out_of_service(monkeypatch):
    """It reports to its status, its metrics and the log; `/readyz` is about what the process serves."""
    process = SimpleNamespace(
        settings=SimpleNamespace(proof=SimpleNamespace(key=SecretStr(base64.b64encode(bytes(32)).decode()))),
        connection=SimpleNamespace(profile=SimpleNamespace(transactions=True)),
        health=Health(),
    )
    given = []
    monkeypatch.setattr("cli.proof_service.proof_service", lambda *parts: given.append(parts[2]) or {})
    assert _day_watch(process) == {}
    (health,) = given
    health.report("proof", ok=False)
    assert process.health.problems() == []
