"""Events and the history of organizations, as the command line shows them."""

import json
from typing import ClassVar

import pytest

from management.change_history import ChangeEntry, ChangeHistory
from management.events.delivery_words import DeliveryFinding
from management.events.stored_event import EventAddress, StoredEvent
from management.personal_data import HIDDEN
from relay.config.kafka import KafkaConfig
from relay.errors import RelayError
from relay.kafka.connection import Connection
from relay.timestamps import now_ms
from tests.support.messages import event
from tests.support.views import NOW

ADDRESS = "192.0.2.7"


def stored(number, **fields):
    record = event(number, remoteAddress=ADDRESS, **fields)
    return StoredEvent(EventAddress("events", 3, 1700 + number), "jira-audit.events", NOW, record)


class TestOneEvent:
    @pytest.fixture
    def read(self, monkeypatch):
        """The arguments of each reading, in place of Kafka. The event was refused by soc."""
        asked = []

        async def read(_state, uid, at, since, *, personal):
            asked.append((uid, at, since, personal))
            return stored(7), [DeliveryFinding("soc", "live", "dead letter", "It was refused.", "3/12")]

        monkeypatch.setattr("cli.commands.events._read", read)
        return asked

    async def test_personal_data_is_hidden_until_it_is_asked_for(self, command_line_without_kafka, read):
        """Both forms hide it, and show it with --personal."""
        for form in ((), ("--json",)):
            hidden = (await command_line_without_kafka("events", "show", "acme/7", *form)).out
            assert (HIDDEN in hidden, ADDRESS in hidden) == (True, False)
            shown = (await command_line_without_kafka("events", "show", "acme/7", "--personal", *form)).out
            assert ADDRESS in shown
        assert read[0] == ("acme/7", None, "", False)

    async def test_its_delivery_is_named(self, command_line_without_kafka, read):
        """The text ends with a line for each destination, and the command that shows its dead letter."""
        lines = (await command_line_without_kafka("events", "show", "--at", "events/3/1707")).out.splitlines()
        assert read == [("", "events/3/1707", "", False)]
        assert "events/3/1707 (jira-audit.events, partition 3, offset 1707)" in lines[1]
        assert lines[-1] == "soc: dead letter. It was refused. See `jira-relay dead-letters show 3/12`."

    @pytest.mark.parametrize(
        "arguments",
        [(), ("acme/1", "--at", "events/0/1"), ("acme",), ("acme/x",), ("--at", "events/1")],
        ids=str,
    )
    async def test_it_must_be_named_in_one_way(self, command_line_without_kafka, arguments):
        """Neither or both of id and place, and what is neither, end with 2."""
        await command_line_without_kafka("events", "show", *arguments, code=2)


class TestTail:
    @pytest.fixture
    def feed(self, monkeypatch):
        """The answers of a feed, in place of Kafka: events, or an error. The last one ends the command."""
        answers = []

        class Feed:
            passed = undecodable = 0
            problems: ClassVar[dict[str, str]] = {}

            def __init__(self, *_arguments):
                pass

            async def read(self):
                answer = answers.pop(0)
                if isinstance(answer, dict):
                    vars(self).update(answer)
                    return []
                if isinstance(answer, BaseException):
                    raise answer
                return answer

        async def reachable(_connection):
            pass

        monkeypatch.setattr("cli.commands.tail.EventFeed", Feed)
        monkeypatch.setattr("cli.commands.tail.LOOK_SECONDS", 0)
        monkeypatch.setattr(Connection, "verify", reachable)
        return answers

    async def test_the_last_events_come_first(self, command_line_without_kafka, feed):
        """At first the last events are shown, each on one line without personal data."""
        for _ in range(2):
            feed.append([stored(number, summary="a\nb") for number in range(5)])
        lines = (await command_line_without_kafka("tail", "--no-follow", "-n", "2")).out.splitlines()
        assert [line.split()[1].rpartition("/")[2] for line in lines] == ["3", "4"]
        assert lines[0].endswith("a\\nb")
        documents = (await command_line_without_kafka("tail", "--no-follow", "--json")).out.splitlines()
        assert [json.loads(line)["offset"] for line in documents] == [1700, 1701, 1702, 1703, 1704]
        assert ADDRESS not in "".join(lines + documents)

    async def test_it_goes_on_while_kafka_is_away(self, command_line_without_kafka, feed):
        """A failure is one line, and the events after it are shown; Ctrl-C ends the command."""
        feed += [[], RelayError("Kafka is away."), [stored(8)], RelayError("gone"), KeyboardInterrupt()]
        shown = await command_line_without_kafka("tail", code=130)
        assert shown.err.splitlines() == ["Kafka is away.", "gone"]
        assert [line.split()[1].rpartition("/")[2] for line in shown.out.splitlines()] == ["8"]

    async def test_it_says_what_it_does_not_show(self, command_line_without_kafka, feed):
        """Records that cannot be decoded are counted each time, from the first reading on; a corrupt batch is named once."""
        gaps = {"undecodable": 2, "problems": {0: "Offset 7 is corrupt."}}
        feed += [gaps, gaps | {"undecodable": 0}, gaps | {"undecodable": 1_000}, KeyboardInterrupt()]
        shown = await command_line_without_kafka("tail", code=130)
        assert shown.err.splitlines() == [
            "2 records could not be decoded, and are not shown.",
            "Offset 7 is corrupt. Its events are not shown.",
            "1,000 records could not be decoded, and are not shown.",
        ]


async def test_the_history_shows_values_before_and_after(command_line_without_kafka, monkeypatch):
    """Changes of organizations are shown, newest first, and those of destinations are not; a limit says so."""
    history = ChangeHistory(Connection(KafkaConfig(bootstrap="127.0.0.1:1")), now_ms)
    history._entries += [
        ChangeEntry(1, 0, "anna", "modified", "acme", '{"interval_seconds": 60}', '{"interval_seconds": 30}'),
        ChangeEntry(2, 1_000, "bert", "paused", "destination/soc"),
        ChangeEntry(3, 2_000, "cleo", "paused", "beta"),
    ]

    async def read(_connection):
        return history

    monkeypatch.setattr("cli.commands.organization_history.read_history", read)
    shown = (await command_line_without_kafka("organizations", "history")).out.splitlines()
    assert shown == [
        "1970-01-01T00:00:02Z  beta: paused by cleo",
        "1970-01-01T00:00:00Z  acme: modified by anna",
        "  interval_seconds: 60 -> 30",
    ]
    (only,) = (await command_line_without_kafka("organizations", "history", "acme", "--json")).json
    assert (only["who"], only["after"]) == ("anna", {"interval_seconds": 30})
    cut = (await command_line_without_kafka("organizations", "history", "--limit", "1")).out
    assert cut.endswith("1 older change is not shown; --limit shows more.\n")
    none = await command_line_without_kafka("organizations", "history", "--from", "2026-01-01")
    assert none.out == "There is no such change.\n"


@pytest.mark.parametrize(
    "arguments", [("tail",), ("events", "show", "acme/1"), ("organizations", "history")], ids=" ".join
)
async def test_a_kafka_that_does_not_answer_is_one_line(command_line_without_kafka, arguments):
    """Each names the Kafka that cannot be reached, and ends with 1."""
    refused = await command_line_without_kafka(*arguments, code=1)
    assert refused.err.startswith("Kafka at 127.0.0.1:1 refuses the connection")
    assert len(refused.output.splitlines()) == 1
