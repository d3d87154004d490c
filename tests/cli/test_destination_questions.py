"""Whom `jira-relay destinations rewind` and `skip` ask before they move offsets."""

import sys
from types import SimpleNamespace

import pytest

from cli.commands import destination_offsets
from cli.commands.destination_offsets import _ask
from management.organizations.validation import InputError


def test_nobody_is_asked_for_one_document(monkeypatch):
    """On a terminal too: the plan is not shown, and a question would come before the document."""
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(isatty=lambda: True))
    asked = []
    monkeypatch.setattr(destination_offsets.typer, "confirm", lambda text, abort: asked.append((text, abort)))
    with pytest.raises(InputError, match="--yes"):
        _ask(as_json=True)
    assert not asked
    _ask(as_json=False)
    assert asked == [("Move the offsets?", True)]
