from pathlib import Path

import pytest

from management.rights import Role
from tests.docs.kafka_rights import render_table

PAGE = Path(__file__).parents[2] / "docs/operations/kafka.md"


@pytest.mark.parametrize("role", Role)
def test_the_page_has_the_rights_that_check_asks_for(role):
    """docs/operations/kafka.md has the table of each role as `python -m tests.docs.kafka_rights` writes it."""
    assert render_table(role) in PAGE.read_text("utf-8")
