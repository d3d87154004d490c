"""Tables on a terminal of 80 columns, with many organizations."""

from dataclasses import replace

import pytest

from cli.commands import check
from cli.dead_letter_output import TITLES as DEAD_LETTER_TITLES
from cli.dead_letter_output import dead_letter_row
from cli.organization_table import STATE_COLUMN, TITLES, last_event_cell, summary, table_row
from cli.table import TableRow, count_line, render_table
from management.check_results import CheckResult
from management.dead_letter_list import ListedLetter
from relay.dead_letters.letter import DeadLetter
from relay.status.model import Silence
from relay.timestamps import DAY_MS
from tests.support.views import NOW, view

WIDTH = 80
UNREACHABLE = (
    "HOST cannot be reached or does not answer ([Errno 111] Connect call failed); it is asked again. If this lasts, check"
    " network and proxy."
)
REFUSED = "HOST refuses user and API key (401); check both: the key may be mistyped, revoked or expired."


def rendered(views, width=WIDTH):
    rows = [table_row(one) for one in sorted(views, key=lambda one: one.urgency)]
    return render_table(TITLES, rows, "organization", numbered=STATE_COLUMN, width=width)


def test_sixty_organizations_are_sixty_lines_and_one_explanation():
    """58 organizations that cannot be reached for one reason have a line each, and the reason is there once, at the end."""
    failing = [view(f"customer-{number:02}", "failing", UNREACHABLE) for number in range(58)]
    views = [view("able"), *failing, view("zeal")]
    lines = rendered(views)

    assert len(lines) == 1 + 60 + 1 + 3
    assert [line.split()[0] for line in lines[1:61]] == sorted(
        (one.organization.name for one in views), key=lambda name: (not name.startswith("customer"), name)
    )
    assert all(len(line) <= WIDTH for line in lines)
    assert " ".join(lines).count("cannot be reached") == 1
    assert summary(views, 60) == "60 organizations: 58 failing, 2 active"


def test_an_unlikely_silence_shows_beside_the_last_event():
    seen = view("acme")
    silence = Silence(NOW - 2 * DAY_MS, NOW, "silent", 0.0004)
    named = replace(seen, status=replace(seen.status, silence=silence))

    assert (last_event_cell(seen), last_event_cell(named)) == ("2 d ago", "2 d ago, silent")


def test_the_table_at_80_columns():
    """Those that need an operator come first, times are ages, and each explanation is below the table."""
    views = [
        view("active"),
        view("expiring", credential_expires=NOW + 6 * DAY_MS),
        view("paused", state="paused"),
        view("silent", valid_ms=-1),
        view("throttled", "waiting", "HOST asks to be left alone for a while (429)."),
        view("gone-1", "failing", UNREACHABLE),
        view("refused", "failing", REFUSED),
        view("gone-2", "failing", UNREACHABLE),
    ]
    assert rendered(views) == [
        "NAME                     STATE         SINCE      COMPLETE UP TO  KEY EXPIRES",
        "gone-1.atlassian.net     failing [1]   3 min ago  2 h ago         -",
        "gone-2.atlassian.net     failing [1]   3 min ago  2 h ago         -",
        "refused.atlassian.net    failing [2]   3 min ago  2 h ago         -",
        "throttled.atlassian.net  waiting [3]   3 min ago  2 h ago         -",
        "silent.atlassian.net     no owner [4]  now        2 h ago         -",
        "expiring.atlassian.net   active        3 min ago  2 h ago         in 6 days!!",
        "active.atlassian.net     active        3 min ago  2 h ago         -",
        "paused.atlassian.net     paused        -          2 h ago         -",
        "",
        "[1] 2 organizations: HOST cannot be reached or does not answer ([Errno 111]",
        "    Connect call failed); it is asked again. If this lasts, check network and",
        "    proxy.",
        "[2] refused.atlassian.net refuses user and API key (401); check both: the key",
        "    may be mistyped, revoked or expired.",
        "[3] throttled.atlassian.net asks to be left alone for a while (429).",
        "[4] no producer reports on it any more",
        "",
        "Too narrow for Last event; --wide shows all columns.",
    ]
    assert summary(views, 9) == (
        "8 of 9 organizations: 3 failing, 1 waiting, 1 no owner, 2 active, 1 paused. 1 API key expires within 30 days."
    )


def test_a_wider_terminal_shows_more_columns():
    """The columns that do not fit at 80 are there at 120, without a remark."""
    lines = rendered([view("acme", credential_expires=NOW + DAY_MS)], width=120)
    assert lines[0].endswith("KEY EXPIRES  LAST EVENT")
    assert len(lines) == 2


def test_a_name_is_never_broken():
    """A name that is wider than the terminal stays on one line, with its state."""
    lines = rendered([view("x" * 90, "failing", REFUSED)])
    assert lines[1].split() == ["x" * 90 + ".atlassian.net", "failing", "[1]"]


def test_text_from_outside_begins_no_line():
    """A control character in a cell or an explanation is escaped, and begins no line."""
    lines = render_table(("A", "B"), [TableRow(("a\nb", "c"), "\x1b[2J\nd")], "row", numbered=0, width=WIDTH)
    assert lines == ["A         B", "a\\nb [1]  c", "", "[1] \\u001b[2J\\nd"]


def dead_letter(number, reason, **headers):
    return DeadLetter(number % 4, number, NOW - number * 60_000, "acme", {"reason": reason, **headers}, 10)


def test_dead_letters_of_one_reason_share_an_explanation():
    """Each dead letter has a line with its age, and each reason is below the table once."""
    found = [dead_letter(number, "too odd", service="consumer", destination="sentinel") for number in (1, 2)]
    found.append(dead_letter(90, "no readable id", service="producer"))
    states = ("open", "redriven", "open")
    rows = [dead_letter_row(ListedLetter(one, state), NOW) for one, state in zip(found, states, strict=True)]

    assert render_table(DEAD_LETTER_TITLES, rows, "dead letter", numbered=0, width=WIDTH) == [
        "WHERE     WRITTEN    BY        ORGANIZATION  STATE",
        "1/1 [1]   1 min ago  sentinel  acme          open",
        "2/2 [1]   2 min ago  sentinel  acme          redriven",
        "2/90 [2]  1 h ago    producer  acme          open",
        "",
        "[1] 2 dead letters: too odd",
        "[2] no readable id",
    ]


def test_checks_that_fail_alike_share_a_message():
    """Failures of organizations that differ in name, URL, host or user alone have one message; other failures do not."""
    texts = [
        "https://{0}.atlassian.net cannot be reached; see https://status.atlassian.com.",
        "{0} is not known",
        "{0}.atlassian.net refuses relay@{0}.example",
    ]
    for text in texts:
        one, other = (
            CheckResult(f"organization {name}", "failed", text.format(name)) for name in ("acme", "beta")
        )
        assert check.shared_message(one) == check.shared_message(other)
    assert "https://status.atlassian.com" in check.shared_message(
        CheckResult("organization acme", "failed", texts[0].format("acme"))
    )
    kafka, topics = (CheckResult(name, "failed", "no") for name in ("Kafka", "topics"))
    assert check.shared_message(kafka) != check.shared_message(topics)


def test_the_counts_are_a_line():
    """The words are counted in the order of their first use, and a singular has no s."""
    assert count_line(3, "check", ["ok", "ok", "failed"]) == "3 checks: 2 ok, 1 failed"
    assert count_line(1, "check", ["ok"]) == "1 check: 1 ok"


@pytest.mark.usefixtures("terminal")
def test_sixty_checked_organizations_are_few_lines_at_80_columns(capsys):
    """Organizations that pass alike, or fail alike, are one entry with a count, and no line is wider than the terminal."""
    texts = {
        "ok": "active since 2026-09-21T14:13:{0:02}Z",
        "failed": "customer-{0}.atlassian.net refuses the key.",
    }
    for state, numbers in (("ok", range(25)), ("failed", range(25, 60))):
        check._print_alike(
            [
                CheckResult(
                    f"organization customer-{number}.atlassian.net", state, texts[state].format(number)
                )
                for number in numbers
            ]
        )
    lines = capsys.readouterr().out.splitlines()

    assert max(map(len, lines)) <= WIDTH
    assert [" ".join(line.split())[:27] for line in lines if not line.startswith(" ")] == [
        "ok 25 organizations (custom",
        "FAILED 35 organizations (cu",
    ]
    assert " ".join(" ".join(lines).split()).endswith("and 30 more): ADDRESS refuses the key.")


@pytest.fixture
def terminal(monkeypatch):
    """Standard output is a terminal of 80 columns."""
    monkeypatch.setenv("COLUMNS", str(WIDTH))
    monkeypatch.setattr("cli.output._is_terminal", lambda: True)


@pytest.mark.usefixtures("terminal")
async def test_a_terminal_shows_tables(command_line, acme, simulated_jira, tmp_path):
    """On a terminal the list has ages, explanations and counts, and a check has its failures last, alike ones once."""
    for name in ("acme", "beta"):
        site = acme if name == "acme" else await simulated_jira.add_site(name)
        await command_line.add(site)
    await command_line.add(await simulated_jira.add_site("gamma"))
    await command_line("organizations", "pause", "gamma")

    listed = (await command_line("organizations", "list")).out.splitlines()
    assert [line.split() for line in listed[:4]] == [
        ["NAME", "STATE"],
        ["acme", "no", "owner", "[1]"],
        ["beta", "no", "owner", "[1]"],
        ["gamma", "paused"],
    ]
    assert listed[-1] == "3 organizations: 2 no owner, 1 paused"
    shown = (await command_line("organizations", "show", "acme")).out.splitlines()
    assert [line for line in shown if len(line) > WIDTH] == []
    wide = (await command_line("organizations", "list", "--wide", "--state", "paused")).out.splitlines()
    assert (wide[0].split()[:2], wide[1].split()[0]) == (["NAME", "URL"], "gamma")
    assert wide[-1] == "1 of 3 organizations: 1 paused"

    (tmp_path / "secrets.key").write_text("not a key")
    checked = (await command_line("check", code=1)).out.splitlines()
    assert [line for line in checked if len(line) > WIDTH and len(line.split()) > 1] == []
    words = [line.split()[0] for line in checked if not line.startswith(" ")]
    assert words == [*sorted(words[:-1], key=lambda word: word == "FAILED"), "12"]
    assert any(" ".join(line.split()).startswith("FAILED 2 organizations (acme, beta): ") for line in checked)
    assert checked[-1].endswith("ok, 1 unknown, 3 failed")
