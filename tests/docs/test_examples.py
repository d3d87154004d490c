"""The files of examples/ are accepted by the program, and the full one has every setting with its default."""

import re
import tomllib
from pathlib import Path

import pytest

from management.organizations.apply_file import _MEMBERS, read_entries
from management.settings import Settings, load
from producer.sources.catalogue import input_rules
from relay.config.names import models_by_kind, setting_fields
from tests.docs import full_example

EXAMPLES = Path(__file__).parents[2] / "examples"
FULL = EXAMPLES / "relay-full.toml"
KEY = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=\n"


def test_the_full_file_agrees_with_the_code():
    """`python -m tests.docs.full_example > examples/relay-full.toml` would change nothing."""
    assert FULL.read_text("utf-8") == full_example.render_file()


def test_the_full_file_is_the_default_in_force():
    """The full file loads as it is, and no group differs from its defaults."""
    settings = load(FULL, {})

    assert settings.model_copy(update={"destinations": {}}) == Settings()
    assert {each.kind for each in settings.destinations.values()} == set(models_by_kind(Settings))


def test_the_full_file_has_every_setting_and_a_comment_on_each():
    """Each setting of each table is on a line of its own, in force or as an example, below one line of comment."""
    lines = FULL.read_text("utf-8").splitlines()
    named = [index for index, line in enumerate(lines) if re.match(r"(# )?[a-z0-9_]+ = ", line)]

    tables = [field.annotation for group, field in Settings.model_fields.items() if group != "destinations"]
    expected = sum(len(model.model_fields) for model in [*tables, *models_by_kind(Settings).values()])

    assert len(named) == expected
    assert all(lines[index - 1].startswith("# ") for index in named)
    assert {next(iter(tomllib.loads(lines[index].removeprefix("# ")))) for index in named} == {
        name[-1] for name in setting_fields(Settings)
    }


def test_the_small_file_has_six_lines_and_loads(tmp_path):
    """Six lines name Kafka, the key and a destination; the program accepts them."""
    text = (EXAMPLES / "relay.toml").read_text("utf-8")
    (tmp_path / "relay.toml").write_text(text, "utf-8")
    (tmp_path / "relay.key").write_text(KEY)

    settings = load(tmp_path / "relay.toml", {})

    assert len(text.splitlines()) == 6
    assert settings.secrets.key_file == tmp_path / "relay.key"
    assert list(settings.destinations) == ["sentinel"]


def test_the_file_of_organizations_is_accepted():
    """`organizations apply` reads the file, with a stored key and with a reference."""
    text = (EXAMPLES / "organizations.toml").read_text("utf-8")

    least, full = read_entries(text, "organizations.toml", lambda name: name, input_rules())

    assert (least.name, least.change.key) == ("acme.atlassian.net", "acme.token")
    assert full.name == "globex"
    assert full.change.backfill_days == 30
    assert full.change.expires is not None


def test_the_file_of_organizations_shows_every_member():
    """No member of an organization is missing in the example."""
    entries = tomllib.loads((EXAMPLES / "organizations.toml").read_text("utf-8"))["organizations"]

    assert set().union(*entries) == set(_MEMBERS)


@pytest.mark.parametrize("value", [{"a": ["b", 1, True]}, (), 3.5, 'a "quoted" text', Path("/etc/relay")])
def test_a_default_is_written_as_toml(value):
    """Every form of a default is read back as it was."""
    read = tomllib.loads(f"x = {full_example.as_toml(value)}")["x"]

    assert read == (
        list(value) if isinstance(value, tuple) else str(value) if isinstance(value, Path) else value
    )
