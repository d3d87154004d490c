"""The documentation site: built offline, with every link looked up, and without a resource of another host."""

import json
import re
import subprocess
from pathlib import Path

import pytest

from tests.docs import reference, site

ROOT = Path(__file__).parents[2]
PAGES = sorted(path.relative_to(ROOT / "docs") for path in (ROOT / "docs").rglob("*.md"))


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The site, built once. A warning of the builder fails here."""
    return site.build(tmp_path_factory.mktemp("docs"))


def test_each_page_is_in_the_site(built):
    """Every page of docs/ has a page in the site, and its title is in the search."""
    names = [path.with_name("index.html" if path.stem == "README" else f"{path.stem}.html") for path in PAGES]
    titles = {entry["title"] for entry in json.loads((built / "search.json").read_text("utf-8"))["items"]}

    assert [name for name in names if not (built / name).is_file()] == []
    assert {"Start in five minutes", "Runbook", "Settings"} <= titles


def test_each_link_of_the_site_leads_somewhere(built, tmp_path):
    """Every link and anchor is found; a page with a dead one is refused."""
    site.check_links(built)

    (tmp_path / "index.html").write_text('<h1 id="a">A</h1><a href="#b">b</a>')
    with pytest.raises(subprocess.CalledProcessError):
        site.check_links(tmp_path)


def test_no_page_shows_its_markup(built):
    """Fences, rows of tables and items of lists were understood: none of their signs is left in a text."""
    code = re.compile(r"<(pre|code)\b.*?</\1>", re.DOTALL)
    sign = re.compile(r"^\s*(?:```|\| |- \S|\d+\. (?!\S.*&para;))", re.MULTILINE)

    found = [
        f"{path.name}: {match[0]}"
        for path in built.rglob("*.html")
        for article in re.findall(r"<article.*?</article>", path.read_text("utf-8"), re.DOTALL)
        for match in sign.finditer(re.sub(r"<[^>]+>", "", code.sub("", article)))
    ]

    assert found == []


def test_no_page_loads_from_another_host(built):
    """Scripts, styles, images and fonts come from the site itself."""
    loaded = re.compile(r"""<(?:script|img|iframe|source)[^>]*\ssrc="?(\w+:)?//|<link[^>]*\shref="?(\w+:)?//|@import|url\(["']?(\w+:)?//""")  # fmt: skip

    found = [
        f"{path.name}: {match[0]}"
        for pattern in ("*.html", "*.css")
        for path in built.rglob(pattern)
        for match in loaded.finditer(path.read_text("utf-8"))
        if 'rel="canonical"' not in match[0]
    ]

    assert found == []


def test_the_tables_of_the_reference_are_in_the_site(built):
    """The calls of the API, the topics, the schemas and the messages are on their pages, which say in the repository where."""
    shown = {
        "reference/api": "/api/v1/organizations",
        "reference/topics": "jira-audit.dead-letters",
        "reference/schemas": "remoteAddress",
        "troubleshooting": "refuses user and API key",
    }

    for page, text in shown.items():
        assert text in (built / f"{page}.html").read_text("utf-8")
        assert "The site has the table" not in (built / f"{page}.html").read_text("utf-8")


def test_a_link_out_of_docs_leads_to_a_copy():
    """A file, a folder with a README and a folder without one are found in the site; a link within code is left alone."""
    text = "[a](../../README.md#x) [b](../../deploy/azure) [c](../../examples/) [d](https://e.example) `[e](f)`\n"
    text = text.replace(" `[e](f)`", "\n```\n[e](f)\n```")

    moved, targets = site.with_links_of_the_site(Path("docs/operations/install.md"), text)

    assert moved == (
        "[a](../repository/README.md#x) [b](../repository/deploy/azure/README.md)"
        " [c](../repository/examples/index.md) [d](https://e.example)\n```\n[e](f)\n```\n"
    )
    assert targets == {Path("README.md"), Path("deploy/azure/README.md"), Path("examples")}


def test_a_link_out_of_the_repository_is_refused():
    """A link that leaves the repository is no link of the site."""
    with pytest.raises(ValueError, match="subpath"):
        site.with_links_of_the_site(Path("docs/index.md"), "[a](../../../etc/passwd)\n")


@pytest.mark.parametrize(
    ("page", "built"),
    [
        ("1. a\n   b\n2. c\n", "1. a\n    b\n2. c\n"),
        ("- a\n\n      code\n- b\n", "- a\n\n        code\n\n- b\n"),
        (
            "1. a\n\n   ```\n   - b\n   ```\n\n   c\n2. d\n",
            "1. a\n\n    ```\n    - b\n    ```\n\n    c\n\n2. d\n",
        ),
        ("1. a\n\n   - b\n     c\n   - d\n", "1. a\n\n    - b\n        c\n    - d\n"),
        ("- a\n\nb\n\n    code\n\n- c\n", "- a\n\nb\n\n    code\n\n- c\n"),
        ("```\n- a\n  b\n```\n", "```\n- a\n  b\n```\n"),
    ],
)
def test_lists_are_written_as_the_builder_needs_it(page, built):
    """Text, code and inner lists of an item begin four columns further in for each level; other code is left alone."""
    assert site.indented_by_four(page) == built


@pytest.mark.parametrize(
    ("avro", "words"),
    [
        ("long", "long"),
        (["null", "string"], "string or null"),
        ({"type": "long", "logicalType": "timestamp-millis"}, "timestamp-millis"),
        ({"type": "array", "items": {"type": "record", "name": "Item", "fields": []}}, "list of Item"),
        ({"type": "map", "values": "jira_audit_relay.Item"}, "map to Item"),
        ({"type": "enum", "name": "Mode", "symbols": ["live", "late"]}, "`live`, `late`"),
        ({"type": "bytes"}, "bytes"),
    ],
    ids=str,
)
def test_a_type_has_words(avro, words):
    """Each form of a type in the schemas has words that a reader understands."""
    assert reference.type_in_words(avro) == words


def test_unknown_tables_are_refused():
    """A page that asks for tables that nobody writes does not go into the site without them."""
    with pytest.raises(KeyError):
        reference.with_tables("<!-- tables: weather -->\nx\n<!-- end -->\n")
