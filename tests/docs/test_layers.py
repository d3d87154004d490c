import ast
import re
import tomllib
from pathlib import Path

import pytest

from tests.support.syntax import syntax_of

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
        tree = syntax_of(path.read_text("utf-8"))
        found = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
        assert not found & names, path


KAFKA_MODULE = "relay.kafka.external_topics"


def imports_of_kafka(path):
    """Return the modules of relay.kafka and aiokafka that a file imports."""
    for node in ast.walk(syntax_of(path.read_text("utf-8"))):
        match node:
            case ast.ImportFrom(module=str(module), names=names):
                found = [module, *(f"{module}.{each.name}" for each in names)]
            case ast.Import(names=names):
                found = [each.name for each in names]
            case _:
                continue
        yield from (each for each in found if re.match(r"(relay\.kafka|aiokafka)(\.|$)", each))


def test_a_destination_imports_one_module_of_kafka():
    """Two modules of the kind kafka import it; no other file of sources, destinations and formats imports Kafka at all."""
    importers = {}
    for room in ("producer/sources", "producer/state", "consumer/destinations", "consumer/formats"):
        for path in (ROOT / room).rglob("*.py"):
            for module in imports_of_kafka(path):
                name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
                importers.setdefault(name, set()).add(module)

    allowed = {f"consumer.destinations.kafka.{name}" for name in ("client", "response")}
    assert importers.keys() == allowed
    for found in importers.values():
        assert all(each == KAFKA_MODULE or each.startswith(f"{KAFKA_MODULE}.") for each in found)
    (contract,) = [each for each in CONTRACTS if each["name"].endswith("formats know no Kafka")]
    assert contract["ignore_imports"] == [f"{name} -> {KAFKA_MODULE}" for name in sorted(allowed)]


@pytest.mark.parametrize(
    "line", ["import aiokafka", "from relay.kafka.topics import Topics", "from relay import kafka"]
)
def test_another_import_of_kafka_is_found(line, tmp_path):
    """The test above sees each form of an import."""
    (tmp_path / "x.py").write_text(line)

    assert set(imports_of_kafka(tmp_path / "x.py")) - {KAFKA_MODULE}
