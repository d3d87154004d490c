from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest

import consumer.heartbeat
import consumer.running_pipelines
import consumer.status_reporter
import producer.service
import producer.status_reporter
from consumer.destinations.catalogue import DESTINATIONS
from consumer.destinations.outcome import Outcome
from management.organizations.view import OrganizationView
from management.runbook import code_texts, explanations, page
from management.runbook.page import render_page
from producer.sources.errors import MESSAGES, ErrorKind
from relay.organizations import Organization
from tests.contracts.file_destination import FILE
from tests.docs.code_states import source_errors, states_of

ROOT = Path(__file__).parents[2]


def test_the_runbook_is_written_from_the_code():
    """docs/operations/runbook.md is what `python -m management.runbook` prints."""
    assert (ROOT / "docs/operations/runbook.md").read_text("utf-8") == render_page()


@pytest.mark.parametrize(
    ("modules", "lines"),
    [
        ((producer.status_reporter,), explanations.ORGANIZATION_STATES),
        ((producer.service,), explanations.PRODUCER_STATES),
        ((consumer.status_reporter, consumer.running_pipelines), explanations.DESTINATION_STATES),
        ((consumer.heartbeat,), explanations.CONSUMER_STATES),
    ],
    ids=["organization", "producer", "destination", "consumer"],
)
def test_every_state_has_a_line(modules, lines):
    """Each state that the code reports is in the runbook, and no other."""
    assert set().union(*map(states_of, modules)) == lines.keys() - {"no owner"}


def test_an_organization_that_nobody_polls_has_a_line():
    """`no owner`, which no producer can report itself, is what the list of organizations shows."""
    acme = Organization(
        "acme", "https://acme.atlassian.net", "audit@acme.example", added=0, modified=0, revision=1
    )

    state = OrganizationView(acme, None, 0).state

    assert state.split(":")[0] in explanations.ORGANIZATION_STATES


def test_every_error_of_a_source_has_a_line():
    """Each error kind has a meaning and a first command."""
    assert source_errors() == explanations.SOURCE_ERRORS.keys()


def test_a_kind_without_statuses_has_its_texts_alone():
    """A peer that answers without statuses is listed by the texts of its modules, response.py among them."""
    kind = replace(FILE, classify_status=None)

    section = page._answers("file", kind)

    assert code_texts.answers_by_status(kind) == {}
    assert "| none | Retry |" in section
    assert "did not answer within" in section
    assert "| none | Paused | An operator must fix something. | The spool rejects the token" in section


def test_sources_that_differ_in_a_message_are_named():
    """A second source that replaces the message of a kind leaves the first one's in the runbook."""
    kind = ErrorKind.UNAVAILABLE
    own, common = (
        {kind: "{host} is closed."},
        MESSAGES[kind].format(host="HOST", status="STATUS", quote=" (…)"),
    )

    assert page.messages_of(kind, {"one": own, "two": {}}) == f"one: HOST is closed.<br>two: {common}"
    assert page.messages_of(kind, {"one": own, "two": own}) == "HOST is closed."
    assert page.messages_of(kind, {"one": {}, "two": {}}) == common


def test_every_outcome_of_a_destination_has_a_line():
    """Each outcome that the contract knows is explained."""
    assert {each.__name__ for each in get_args(Outcome)} == explanations.ANSWERS.keys()


def test_every_kind_brings_its_answers(monkeypatch):
    """A kind that is added to the table has a section of its own, with the texts of its own folder."""
    monkeypatch.setitem(DESTINATIONS, "file", FILE)

    section = render_page().split("## Destinations: answers of the kind file\n")[1].split("\n## ")[0]

    assert "| 401 | Paused |" in section
    assert "did not answer within" in section


def test_every_error_of_kafka_has_a_line():
    """Each cause of a failed connection to Kafka has a meaning and a first command."""
    assert {name for name, _ in code_texts.kafka_errors()} == explanations.KAFKA_ERRORS.keys()
