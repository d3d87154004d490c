import ast
from collections import defaultdict
from pathlib import Path

from tests.support.syntax import syntax_of

ROOT = Path(__file__).parents[2]
ROOMS = ("relay", "producer", "consumer", "management", "console", "cli")


def modules():
    return [path for room in ROOMS for path in (ROOT / room).rglob("*.py")]


def defined_twice(found):
    return {name: places for name, places in found.items() if len(places) > 1}


def types_of(path):
    """Yield the public classes of a module, and its names for other types; those of one kind of a component are its own."""
    kind = path.parent.parent.name in {"destinations", "sources"}
    for node in syntax_of(path.read_text("utf-8")).body:
        match node:
            case ast.ClassDef(name=name):
                yield name
            case ast.Assign(targets=[ast.Name(id=name)]) if not name.isupper() and not kind:
                yield name


def test_a_type_name_has_one_definition():
    """No two files of the program define a public type of one name, so a name has one meaning."""
    found = defaultdict(set)
    for path in modules():
        for name in types_of(path):
            if name[0].isupper():
                found[name].add(str(path.relative_to(ROOT)))

    assert len(found) > 300
    assert defined_twice(found) == {}


def test_two_files_of_a_folder_differ_by_more_than_an_s():
    """A singular beside its plural is a guess for each reader."""
    found = defaultdict(set)
    for path in modules():
        found[str(path.with_suffix("").relative_to(ROOT)).removesuffix("s")].add(path.name)

    assert defined_twice(found) == {}


def test_the_glossary_has_thirty_words_at_most():
    """A reader who needs more words than that needs better names; the words are in order, each once."""
    lines = (ROOT / "docs" / "glossary.md").read_text("utf-8").splitlines()
    words = [line.split("|")[1].strip() for line in lines if line.startswith("| ")][1:]

    assert 10 < len(words) <= 30
    assert words == sorted(set(words))


def test_no_file_is_longer_than_three_hundred_lines():
    """A longer file has two subjects."""
    files = [*modules(), *(ROOT / "tests").rglob("*.py"), *(ROOT / "simulators").rglob("*.py")]
    lengths = {str(path.relative_to(ROOT)): len(path.read_text("utf-8").splitlines()) for path in files}

    assert len(lengths) > 600
    assert {name: lines for name, lines in lengths.items() if lines > 300} == {}
