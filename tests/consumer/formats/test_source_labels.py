"""Where the code names the product of a source to a destination."""

import ast
from pathlib import Path

from consumer.formats import source_labels
from tests.support.syntax import syntax_of

ROOT = Path(__file__).parents[3]
VOCABULARY = {"ecs_categories.py"}
OWN_NAMES = ("jira-relay", "jira_relay", "jira-audit", "Jira Audit Relay")


def docstrings(tree):
    """Return the nodes of texts that are statements: docstrings, also of constants and fields."""
    return {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}


def help_texts(tree):
    """Return the nodes of descriptions and examples of settings."""
    found = (keyword for node in ast.walk(tree) if isinstance(node, ast.Call) for keyword in node.keywords)
    texts = [keyword.value for keyword in found if keyword.arg in {"description", "examples", "help"}]
    return {id(each) for text in texts for each in ast.walk(text)}


def labels_in(path):
    tree = syntax_of(path.read_text("utf-8"))
    no_labels = docstrings(tree) | help_texts(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in no_labels:
            text = node.value
            for name in OWN_NAMES:
                text = text.replace(name, "")
            if "jira" in text.lower():
                yield node.value


def test_labels_of_a_source_are_in_one_file():
    """A second source changes one file of the code. Put a further label into consumer/formats/source_labels.py."""
    files = [path for path in (ROOT / "consumer").rglob("*.py") if path.name not in VOCABULARY]
    found = {path: list(labels_in(path)) for path in files}
    named = Path(source_labels.__file__)

    assert len(found.pop(named)) >= 7
    assert {str(path.relative_to(ROOT)): texts for path, texts in found.items() if texts} == {}
