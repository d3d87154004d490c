"""The installation on one screen."""

import asyncio
from dataclasses import replace

import pytest

from cli.status_screen import organization_lines, status_lines
from management.delivery_reports import DeliverySummary
from management.destination_day import Retries
from management.destination_view import DestinationView
from management.installation import Installation, view_installation
from management.live_view import Snapshot
from management.organizations.store import StoredOrganizations
from management.overview import Affected, Cause, Severity, find_causes
from management.replay.live_replays import ReplaySnapshot
from relay.kafka.connection import Connection
from relay.status.model import HourCount
from relay.timestamps import HOUR_MS
from tests.support.views import NOW, organization, status, view

WIDTH = 80
REFUSED = "HOST refuses user and API key (401); check both."


def well(name):
    seen = view(name)
    return type(seen)(seen.organization, status(last_event=NOW - 1, complete_up_to=NOW - 1_000), NOW)


def installation(organizations=(), destinations=(), **fields):
    causes = find_causes(organizations, destinations)
    values = {"replays": [], "processes": {"producer": 2, "consumer": 1}, "problems": []} | fields
    return Installation(NOW, NOW, organizations, destinations, causes=causes, **values)


def screen(seen, **options):
    return status_lines(seen, "kafka-1:9093", WIDTH, **options)


def test_sixty_organizations_with_one_cause_are_one_screen():
    """One cause is shown once, at the top, however many it affects; no line is wider than the terminal."""
    views = [view(f"site-{number:02}", "failing", REFUSED) for number in range(58)]
    soc = DestinationView("soc", "sentinel", status(lag=1_234), None, NOW)
    lines = screen(installation([*views, well("a"), well("b")], [soc]))

    assert max(map(len, lines)) <= WIDTH
    assert len(lines) <= 24
    assert lines[0] == "2026-09-21T14:13:20Z  2 producers, 1 consumer; Kafka at kafka-1:9093"
    assert lines[2].startswith("FAILING  since 3 min: 58 organizations site-00.atlassian.net")
    text = " ".join(" ".join(lines).split())
    assert text.count(REFUSED) == 1
    assert "and 53 more" in text
    assert "60 organizations: 58 failing, 2 active; complete up to 2 h ago" in text
    assert lines[-1].split() == ["soc", "active", "1", "min", "ago", "1,234", "0", "sentinel"]


def test_a_cause_without_a_time_has_no_colon_after_its_severity():
    """A failing organization that nobody has reported on has no state of its own and no time."""
    cause = Cause(Severity.FAILING, "organization", "failing", "It fails.", (Affected("acme", None),))
    lines = screen(replace(installation([well("a")]), causes=[cause]))
    assert "FAILING  organization acme" in lines


def test_all_well_says_so():
    """Without a cause one line says that nothing needs the operator; without an organization, that none was added."""
    assert "Nothing needs you." in screen(installation([well("a")]))
    assert "No organization has been added yet." in screen(installation())


def test_a_destination_that_fails_comes_first():
    """Destinations that are not active are above the others; with a rate, it takes the place of the kind."""
    counts = (HourCount(NOW - NOW % HOUR_MS, 12_345, 0, 0),)
    delivery = DeliverySummary(0.0, Retries(0, NOW, None), events_per_second=2.5)
    views = [
        DestinationView("a", "http", status(counts=counts), None, NOW, delivery=delivery),
        DestinationView("b", "http", status("waiting", reason="busy"), None, NOW),
    ]
    lines = screen(installation([well("a")], views), with_rates=True)

    assert [line.split()[0] for line in lines[-3:]] == ["DESTINATION", "b", "a"]
    assert lines[-1].split()[-2:] == ["12,345", "2.5"]


def test_text_from_outside_cannot_control_the_terminal():
    """Names and reasons are escaped."""
    seen = installation([view("x", "failing", "a\x1b[2Jb\nc")], problems=["d\x1be"])
    assert "\x1b" not in "".join(screen(seen) + organization_lines(seen, WIDTH))


def test_organizations_are_a_table_with_the_urgent_first():
    """Failing organizations are above the others, and of those the one with the newest event comes first."""
    quiet = view("quiet")
    lines = organization_lines(installation([quiet, well("busy"), view("bad", "failing", "x")]), WIDTH)
    assert [line.split()[0].partition(".")[0] for line in lines[1:]] == ["bad", "busy", "quiet"]


def test_a_snapshot_is_an_installation():
    """Statuses of processes that still report are counted, and an organization without completeness makes it unknown for all."""
    statuses = {
        "produce/a-1": status(),
        "produce/b-2": status(valid_until=NOW - 1),
        "producer/acme": status(complete_up_to=NOW - 5),
    }
    stored = StoredOrganizations({"acme": organization("acme")}, {}, {})
    unread = ReplaySnapshot(problems=["The record r-1 cannot be read."], failure="The topic is missing.")
    seen = view_installation(Snapshot(stored, statuses, replays=unread), {}, NOW)
    assert seen.problems == [
        "The replays cannot be read now: The topic is missing.",
        "The record r-1 cannot be read.",
    ]
    assert dict(seen.processes) == {"producer": 1, "consumer": 0}
    assert seen.complete_up_to == NOW - 5

    both = {"acme": organization("acme"), "new": organization("new")}
    seen = view_installation(Snapshot(StoredOrganizations(both, {}, {}), statuses), {}, NOW)
    assert seen.complete_up_to is None
    assert seen.document()["organizations"]["states"] == {"no owner": 1, "active": 1}


@pytest.fixture
def looks(monkeypatch):
    """The snapshots of the view, one for each look, in place of Kafka."""
    snapshots = []

    class View:
        def __init__(self, *_arguments):
            self.snapshot = None

        async def refresh(self):
            if not snapshots:
                raise KeyboardInterrupt
            self.snapshot = snapshots.pop(0)

        async def close(self):
            pass

    async def reachable(_connection):
        pass

    monkeypatch.setattr("cli.commands.status.LiveView", View)
    monkeypatch.setattr(Connection, "verify", reachable)
    return snapshots


FAILING = Snapshot(
    StoredOrganizations({"acme": organization("acme")}, {}, {}),
    {"producer/acme": status("failing", reason="the key is wrong", valid_until=2**53)},
)
NOT_READ = Snapshot(failure="Kafka is slow.")


async def test_the_exit_code_says_whether_something_fails(command_line_without_kafka, looks):
    """A failing organization is named with its reason, as text and in the document, and the exit code is 1."""
    looks += [Snapshot(), FAILING, FAILING]
    assert "No organization has been added yet." in (await command_line_without_kafka("status")).out
    assert "the key is wrong" in (await command_line_without_kafka("status", code=1)).out
    document = (await command_line_without_kafka("status", "--json", code=1)).json
    assert document["failing"] is True
    assert [cause["state"] for cause in document["causes"]] == ["failing"]


async def test_a_look_that_fails_is_repeated(command_line_without_kafka, looks):
    """A Kafka that is slow once is no failure of the command; the third failure is, with its reason."""
    looks += [NOT_READ, Snapshot(), *3 * [NOT_READ]]
    assert "No organization has been added yet." in (await command_line_without_kafka("status")).out
    assert (await command_line_without_kafka("status", code=1)).err == "Kafka is slow.\n"


async def test_top_shows_each_look_until_it_is_interrupted(command_line_without_kafka, looks, monkeypatch):
    """The screen has causes and organizations, and says when Kafka is away; Ctrl-C ends it."""
    monkeypatch.setattr("cli.output._is_terminal", lambda: True)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("LINES", "40")
    monkeypatch.setenv("FORCE_COLOR", "1")  # the library then takes any output for a terminal
    monkeypatch.setenv("TERM", "xterm")
    looks += [FAILING, replace(FAILING, failure="Kafka is slow.")]
    shown = (await command_line_without_kafka("top", "--interval", "1", code=130)).out

    assert shown.count("the key is wrong") == 2
    assert shown.count("KAFKA    Kafka is slow.") == 1
    assert "ORGANIZATION  STATE" in shown


async def test_top_needs_a_terminal(command_line_without_kafka):
    """Where there is no terminal, top names the command for scripts."""
    assert "status --json" in (await command_line_without_kafka("top", code=2)).err


async def test_a_client_of_kafka_that_ends_a_request_is_one_line(command_line_without_kafka, monkeypatch):
    """aiokafka cancels what waits for it when Kafka goes away; that is a failure of the command, and no defect."""

    async def cancelled(_connection):
        raise asyncio.CancelledError

    monkeypatch.setattr(Connection, "verify", cancelled)
    assert (await command_line_without_kafka("status", code=1)).err.startswith("The client of Kafka ended")


@pytest.mark.parametrize("command", ["status", "top"])
async def test_a_kafka_that_does_not_answer_is_one_line(command_line_without_kafka, monkeypatch, command):
    """Both name the Kafka that cannot be reached, and end with 1."""
    monkeypatch.setattr("cli.output._is_terminal", lambda: True)
    refused = await command_line_without_kafka(command, code=1)
    assert refused.err.startswith("Kafka at 127.0.0.1:1 refuses the connection")
    assert len(refused.output.splitlines()) == 1
