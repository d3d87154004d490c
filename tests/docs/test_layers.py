import ast
import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CONTRACTS = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]["contracts"]


def layers_of_the_page(column):
    """Return the layers of a room in CONTRIBUTING.md, from top to bottom."""
    table = (ROOT / "CONTRIBUTING.md").read_text("utf-8").split("| layer |")[1].split("\n\n")[0]
    cells = [
        line.split("|")[column] for line in table.splitlines() if line.startswith("|") and "---" not in line
    ]
    layers = [set(re.findall(r"`(\w+)`", cell)) for cell in cells]
    return [layer for layer in layers if layer]


@pytest.mark.parametrize(("room", "column"), [("producer", 2), ("consumer", 3)])
def test_the_page_lists_the_layers_of_the_contract(room, column):
    """CONTRIBUTING.md has the layers of each room as pyproject.toml orders them."""
    (layers,) = [each["layers"] for each in CONTRACTS if each.get("containers") == [room]]

    assert layers_of_the_page(column) == [set(layer.split(" | ")) for layer in layers]


@pytest.mark.parametrize(
    ("room", "names"),
    [
        ("producer/state", {"now_ms"}),
        ("consumer/formats", {"now_ms"}),
        ("relay/config", {"os"}),
    ],
)
def test_a_room_takes_time_and_environment_from_its_caller(room, names):
    """No file of the room names the clock or the environment of the process; its `__init__` promises it."""
    for path in (ROOT / room).rglob("*.py"):
        tree = ast.parse(path.read_text("utf-8"))
        found = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
        assert not found & names, path
