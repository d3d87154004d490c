"""Every kind of destination keeps the contract; so does one that is invented for the purpose."""

import ast
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest

from consumer.config import DestinationSettings
from consumer.destinations.catalogue import DESTINATIONS
from consumer.destinations.http import HTTP
from consumer.destinations.outcome import Paused, Retry
from management.connection_checks import _test_destination
from management.settings import Settings
from relay.config.names import is_list, is_secret, models_by_kind
from tests.contracts.destination import CLAIMS, seconds_for
from tests.contracts.destination_case import Case, opened
from tests.contracts.destination_requests import is_sentence
from tests.contracts.file_destination import FILE
from tests.contracts.peer import Absent
from tests.contracts.peer_faults import refused
from tests.contracts.peers import PEERS
from tests.support.syntax import syntax_of

ROOT = Path(__file__).parents[2]


@pytest.fixture
def kinds(monkeypatch):
    """The table, with the invented kind added by its one line."""
    monkeypatch.setitem(DESTINATIONS, "file", FILE)
    return DESTINATIONS


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.__name__)
@pytest.mark.parametrize("name", [*DESTINATIONS, "file"])
async def test_a_kind_keeps_the_contract(name, claim, kinds, monkeypatch, tmp_path):
    """Each claim of the suite holds for each kind, against its simulator."""
    async with (
        PEERS[name](monkeypatch, tmp_path) as peer,
        opened(kinds[name], peer, seconds_for(claim)) as case,
    ):
        await claim(case)


@pytest.mark.parametrize("name", [*DESTINATIONS, "file"])
@pytest.mark.usefixtures("kinds")
async def test_check_probes_a_kind(name, monkeypatch, tmp_path):
    """`jira-relay check` names where the requests go, and no product."""
    async with PEERS[name](monkeypatch, tmp_path) as peer:
        test = await _test_destination("target", peer.config, "tester")
    assert test.outcome == "passed"
    assert test.message.startswith("accepts requests: ")


@pytest.mark.parametrize("name", [*DESTINATIONS, "file"])
async def test_a_peer_plays_each_fault_of_its_kind(name, kinds, monkeypatch, tmp_path):
    """No claim is skipped for a kind that has the fault which the claim needs."""
    async with PEERS[name](monkeypatch, tmp_path) as peer:
        assert refused(kinds[name], peer) == []


@pytest.mark.parametrize("name", [*DESTINATIONS, "file"])
@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"reject": Absent("x")}, "reject is absent"),
        ({"break_credential": Absent("x")}, "break_credential is absent"),
        ({"answers": {}}, "answers has no Paused"),
    ],
)
async def test_a_kind_cannot_leave_out_a_fault_that_it_has(name, change, fault, kinds, monkeypatch, tmp_path):
    """The settings, the statuses and the answers of a kind show its faults."""
    async with PEERS[name](monkeypatch, tmp_path) as peer:
        if any(isinstance(getattr(peer, each), Absent) for each in change):
            pytest.skip("the kind does not have the fault")
        found = refused(kinds[name], replace(peer, **change))
    assert any(each.startswith(fault) for each in found), found


async def test_a_kind_without_statuses_may_leave_out_faults(monkeypatch, tmp_path):
    """A kind whose peer has neither statuses nor credentials nor rejections gives its reasons instead."""
    kind = replace(HTTP, config=DestinationSettings, classify_status=None)
    async with PEERS["file"](monkeypatch, tmp_path) as peer:
        answers = {name: peer.answers[name] for name in ("appended", "busy")}
        bare = replace(
            peer, answers=answers, reject=Absent("no rejection"), break_credential=Absent("no login")
        )
        assert refused(kind, bare) == []
        with pytest.raises(pytest.skip.Exception, match="no login"):
            Case(kind, bare, None).can("break_credential")


def test_every_kind_has_a_peer():
    assert DESTINATIONS.keys() <= PEERS.keys()


@pytest.mark.parametrize("name", DESTINATIONS)
def test_every_kind_has_a_page(name):
    """The operator's page of a kind names its settings, limits, answers, how to remove repeats, and how to tell replays."""
    page = (ROOT / "docs/destinations" / f"{name}.md").read_text("utf-8")
    for heading in ("Set up", "Columns", "Limits", "Answers", "Duplicates", "Replays"):
        assert f"\n## {heading}" in page
    assert "`--to-live`" in page.partition("\n## Replays")[2]


@pytest.mark.parametrize("name", [*DESTINATIONS, "file"])
def test_the_reason_of_a_wait_is_a_sentence(name, kinds):
    """Status and log say what happened also where an answer has nothing but a status."""
    if kinds[name].classify_status is None:
        pytest.skip("the kind has no statuses")
    outcomes = map(kinds[name].classify_status, range(200, 600))
    reasons = {each.reason for each in outcomes if isinstance(each, Retry | Paused)}
    assert [each for each in reasons if not is_sentence(each)] == []


@pytest.mark.parametrize("name", [*DESTINATIONS, "file"])
def test_the_settings_of_a_kind_are_complete(name, kinds):
    """The kind is the key of the catalogue, each setting has a sentence and an example, and the examples are valid settings."""
    model = kinds[name].config
    assert get_args(model.model_fields["kind"].annotation) == (name,)
    examples = {}
    for setting, field in model.model_fields.items():
        assert field.description.endswith("."), setting
        examples[setting] = field.examples[0]
    model.model_validate(examples)


def test_one_name_means_one_form_of_setting(kinds):
    """Settings of the same name in two kinds are both lists or not, and both secrets or not: the environment cannot tell kinds apart."""
    forms = {}
    for kind in kinds.values():
        for setting, field in kind.config.model_fields.items():
            form = (is_list(field), is_secret(field))
            assert forms.setdefault(setting, form) == form, setting


def mentions(tree, kind):
    """Lines that import the folder of a kind, or have its name as a text of its own or as part of a setting's name.

    `kafka` is the name of a group of settings and of a directory too, so as a text of its own it names no kind.
    """
    folder = f"consumer.destinations.{kind.replace('-', '_')}"
    for node in ast.walk(tree):
        match node:
            case ast.ImportFrom(module=str(module)) if module == folder or module.startswith(f"{folder}."):
                yield node.lineno
            case ast.Constant(value=str(text)) if (
                text == kind and kind not in Settings.model_fields
            ) or f"destinations.{kind}" in text:
                yield node.lineno


def test_generic_code_names_no_kind():
    """A destination is one folder and one line: no other file of consumer, management or command line names a kind.

    The archive of a replay does: it is what one kind has written (the import contract lists its modules).
    """
    catalogue = Path("consumer/destinations/catalogue.py")
    for room in ("consumer", "management", "cli"):
        for path in (ROOT / room).rglob("*.py"):
            part = path.relative_to(ROOT)
            in_a_kind = part.parts[:2] == ("consumer", "destinations") and len(part.parts) > 3
            of_archives = part.match("consumer/replay/archive_*.py")
            if in_a_kind or of_archives or part == catalogue or part.name == "settings_page.py":
                continue
            tree = syntax_of(path.read_text("utf-8"))
            assert [line for kind in DESTINATIONS for line in mentions(tree, kind)] == [], part


_WITH_A_LINE = """
import sys
from consumer.destinations import catalogue
from tests.contracts.file_destination import FILE
catalogue.DESTINATIONS["file"] = FILE
from management import settings, settings_page
if sys.argv[1:] == ["page"]:
    print(settings_page.render_page())
else:
    loaded = settings.load()
    print(loaded.destinations["spool"].kind, loaded.destinations["spool"].directory)
    print(settings.Settings.model_validate_json(loaded.model_dump_json()).destinations["sentinel"].kind)
"""


def run_with_a_line(*arguments, **variables):
    """A process whose table has one line more."""
    environment = {name: text for name, text in os.environ.items() if not name.startswith("RELAY_")}
    return subprocess.run(
        [sys.executable, "-c", _WITH_A_LINE, *arguments],
        cwd=ROOT,
        env=environment | {"PYTHONPATH": str(ROOT)} | variables,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


SPOOL = {
    "RELAY_DESTINATIONS__SPOOL__KIND": "file",
    "RELAY_DESTINATIONS__SPOOL__DIRECTORY": "/var/spool",
    "RELAY_DESTINATIONS__SPOOL__TOKEN": "secret",
    "RELAY_DESTINATIONS__SENTINEL__ENDPOINT": "https://a.ingest.monitor.azure.com",
    "RELAY_DESTINATIONS__SENTINEL__RULE_ID": "dcr-" + 32 * "0",
}


def test_one_line_adds_a_kind_to_the_settings():
    """Two kinds beside each other load from the environment, and survive the way through JSON."""
    done = run_with_a_line(**SPOOL)
    assert done.stdout.splitlines() == ["file /var/spool", "sentinel"], done.stderr


def test_one_line_adds_a_kind_to_the_settings_page():
    """The page has a table for each kind, with each of its settings."""
    page = run_with_a_line("page").stdout
    for kind, model in {**models_by_kind(Settings), "file": FILE.config}.items():
        section = page.split(f"## destinations.&lt;name&gt;, kind {kind}\n")[1].split("\n## ")[0]
        for setting in model.model_fields:
            assert f"`RELAY_DESTINATIONS__<NAME>__{setting.upper()}`" in section


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"RELAY_DESTINATIONS__SPOOL__KIND": ""}, "destinations.spool.kind is required"),
        (
            {"RELAY_DESTINATIONS__SPOOL__KIND": "pile"},
            f"must be one of {', '.join(map(repr, [*DESTINATIONS, 'file']))}",
        ),
        ({"RELAY_DESTINATIONS__SPOOL__DIRECTORY": ""}, "destinations.spool.directory is required"),
        ({"RELAY_DESTINATIONS__SPOOL__RULE_ID": "dcr-" + 32 * "0"}, "not a setting of this kind"),
        ({"RELAY_DESTINATIONS__SENTINEL__TOKEN": "secret"}, "not a setting of this kind"),
    ],
)
def test_a_fault_in_the_settings_of_one_kind_is_named(change, message):
    """The message names the destination and the setting, and shows no secret."""
    done = run_with_a_line(**SPOOL | change)
    assert message in done.stderr
    assert "'secret'" not in done.stderr.splitlines()[-1]
