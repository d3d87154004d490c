"""docs/settings.md, and the variables that it shows."""

import json
from pathlib import Path

import pytest

from management.settings import Settings
from management.settings_page import render_page
from relay.config.names import accepts_file, generalize, setting_fields, variable
from tests.support.settings import destination_of, error_or_empty

ROOT = Path(__file__).parents[3]


def test_the_page_equals_the_code():
    """docs/settings.md is the output of `python -m management.settings_page`."""
    assert (ROOT / "docs/settings.md").read_text("utf-8") == render_page()


def test_the_page_names_every_setting():
    """Each setting has a row with a sentence and an example, and each secret names its file."""
    rows = render_page()
    for name, field in setting_fields(Settings).items():
        assert f"`{variable(name)}`" in rows
        assert field.description.endswith(".")
        assert field.examples
        assert not accepts_file(field) or f"`{name[-1]}_file`" in rows


@pytest.mark.parametrize("name", list(setting_fields(Settings)), ids=".".join)
def test_every_setting_accepts_its_example_from_its_variable(name):
    """The variable on the page sets the setting, and the example on the page is valid."""
    field = setting_fields(Settings)[name]
    example = field.examples[0]
    if name[-1].endswith("_file"):
        example = "example"
        Path("example").touch()
    destination, environ = destination_of(name)
    key = variable(generalize(name)).replace("<NAME>", destination)
    text = example if isinstance(example, str) else json.dumps(example)

    error = error_or_empty(environ | {key: text})  # some settings need others beside them

    assert f"({key})" not in error
    assert "is not a setting" not in error
