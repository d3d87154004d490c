import re
from pathlib import Path

from tests.docs.metrics import render_page

ROOT = Path(__file__).parents[2]


def test_every_metric_is_on_its_page():
    """docs/metrics.md is what `python -m tests.docs.metrics` writes."""
    assert (ROOT / "docs/metrics.md").read_text("utf-8") == render_page()


def test_metrics_are_named_by_the_rules():
    """Every name begins with jira_relay, a counter ends in _total, and each metric has a sentence."""
    rows = re.findall(r"^\| `(\S+)` \| (\w+) \| .* \| (.*) \|$", render_page(), re.MULTILINE)

    assert len(rows) > 20
    for name, kind, sentence in rows:
        assert name.startswith("jira_relay_")
        assert sentence.endswith(".")
        if kind == "counter":
            assert name.endswith("_total")
