import io
from dataclasses import replace

import pytest
from rich.console import Console

from relay.status.model import take_over
from sandbox import view
from sandbox.destinations.azure import RulePeer
from sandbox.destinations.contract import DeliveredRow
from sandbox.destinations.sentinel import TABLES
from sandbox.narrator import StatusNarrator
from sandbox.observer import OrganizationSnapshot
from sandbox.screen import PLAIN_INTERVAL_SECONDS, Screen

NOW = 1_795_500_000_000
SNAPSHOT = OrganizationSnapshot(
    organization="acme",
    state="active",
    reason=None,
    last_event=NOW - 1000,
    complete_up_to=NOW - 86_400_000 * 40,
    in_jira=1234,
    in_kafka=1230,
    accepted={"sentinel": 1200},
    unreadable=1,
)


def render(picture, width=80):
    console = Console(file=io.StringIO(), width=width, color_system=None)
    console.print(picture)
    return console.file.getvalue()


def test_a_table_of_organizations_fits_a_terminal():
    """Within eighty characters, the table shows each column's name and value in full."""
    text = render(
        view.render_table([SNAPSHOT, replace(SNAPSHOT, organization="globex", state="starting")], NOW)
    )
    assert max(map(len, text.splitlines())) <= 80
    words = text.split()
    for value in ("acme", "active", "1,230", "1,200", "33", "globex", "starting", "last", "event"):
        assert value in words


def test_without_a_terminal_an_organization_is_one_line():
    """The line has every column; an unknown value is a dash, and an instant of another day is a date."""
    day = view.format_clock(NOW - 86_400_000 * 40, NOW)
    assert view.render_line(replace(SNAPSHOT, last_event=None), NOW) == (
        f"acme active: last event -, complete up to {day}, in Kafka 1,230, sentinel 1,200, lag 33"
    )
    assert day.count("-") == 2


@pytest.mark.parametrize("ms", [-62_135_596_800_000, 253_402_300_799_999, 10**17, 0])
def test_any_instant_can_be_shown(ms):
    """Instants of any year have a text, also those that a datetime cannot hold."""
    assert view.format_clock(ms, NOW)


def test_all_records_have_arrived_when_the_lag_is_zero():
    """A dead letter counts as arrived, since it never reaches the destination."""
    assert not SNAPSHOT.all_arrived
    assert SNAPSHOT.lag == 33
    assert replace(SNAPSHOT, in_kafka=1233, accepted={"sentinel": 1233}).all_arrived
    assert not replace(SNAPSHOT, in_kafka=1233, accepted={"sentinel": 1233}, in_jira=1235).all_arrived
    assert not replace(SNAPSHOT, in_kafka=1232, accepted={"sentinel": 1234}).all_arrived


def test_a_record_cannot_command_the_terminal():
    """Escape sequences, surrogates and marks of text direction are escaped."""
    row = {
        "Organization": "acme",
        "EventId": 1,
        "EventMessage": "\x1b[2Jgone\x9b31m\u202eback\ud800",
        "EventSource": None,
    }
    record = {"id": 1, "\x1b]0;title\x07": "\x7f[bold]"}
    delivered = DeliveredRow("acme\x1b[2J", 1, row, history=False)
    text = render(
        view.render_side_by_side("acme\x1b[2J", record, "sentinel", RulePeer(None, TABLES), delivered), 160
    )
    assert text.replace("\n", "").isprintable()
    assert "[bold]" in text
    assert "EventSource" not in text


def test_each_change_of_state_is_described_once():
    """A change is described with its reason; the first active state is not described."""
    narrator, at = StatusNarrator(), NOW
    statuses = {"producer/acme": take_over("active", at), "consumer/host-1": take_over("running", at)}
    assert list(narrator.describe_changes(statuses)) == []
    statuses["producer/acme"] = take_over("failing", at, reason="acme: 403\x1b[2J")
    assert list(narrator.describe_changes(statuses)) == ["        acme is failing: 403\\u001b[2J"]
    assert list(narrator.describe_changes(statuses)) == []
    statuses["producer/acme"] = take_over("active", at)
    statuses["destination/sentinel"] = take_over("paused", at)
    assert list(narrator.describe_changes(statuses)) == [
        "        acme is active",
        "        sentinel is paused",
    ]


def test_without_a_terminal_changes_are_printed_at_an_interval():
    """A changed organization is printed once an interval, and again at the end."""
    stream, now = io.StringIO(), [NOW / 1000]
    with Screen(stream, lambda: now[0]) as screen:
        screen.update([SNAPSHOT, replace(SNAPSHOT, organization="globex")])
        screen.update([replace(SNAPSHOT, accepted={"sentinel": 1201})])
        now[0] += PLAIN_INTERVAL_SECONDS
        screen.update(
            [replace(SNAPSHOT, accepted={"sentinel": 1202}), replace(SNAPSHOT, organization="globex")]
        )
        screen.finish([replace(SNAPSHOT, accepted={"sentinel": 1203})])
    lines = stream.getvalue().splitlines()
    assert [line.split("sentinel ")[1] for line in lines] == [
        "1,200, lag 33",
        "1,200, lag 33",
        "1,202, lag 31",
        "1,203, lag 30",
    ]
    assert not any("\x1b" in line for line in lines)
